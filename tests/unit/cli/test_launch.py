"""`reelmill launch` as it is typed: one clear line for a mistake, data on stdout, words on stderr."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reelmill.cli.main import run


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, no settings from outside, and no master that could be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("REELMILL_MASTER", "http://127.0.0.1:9")
    monkeypatch.delenv("MASTER_URL", raising=False)


def launch(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    """Type `reelmill launch ...` and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["reelmill", "launch", *argv])
    with pytest.raises(SystemExit) as ended:
        run()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--count", "0"], "--count"),
        (["--count", "-1"], "--count"),
        (["--count", "abc"], "--count"),
        (["--scenario", "1080p60-h246"], "did you mean"),
        (["--batch-size", "10001"], "--batch-size"),
        (["--delay", "x"], "--delay"),
        (["--bitrate", "5 potatoes"], "--bitrate"),
        (["--output", "no/such/folder/r.json"], "--output"),
        (["--output", "results.xyz"], "ends in none of .json"),
        (["--master", "localhost:8080"], "write it like http://localhost:8080"),
        (["--seed", "x"], "--seed"),
        (["--name", "x" * 201], "--name"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    argv: list[str],
    part: str,
) -> None:
    """No traceback, no box, nothing written."""
    assert launch(monkeypatch, *argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("error: ")
    assert part in line
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_mix_and_three_payloads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without a master; stdout is JSON, the same for the same seed; stderr tells the mix and the media seconds."""
    argv = ("--dry-run", "--count", "1k", "--seed", "7", "--duration", "2")
    assert (launch(monkeypatch, *argv), launch(monkeypatch, *argv)) == (0, 0)
    out, err = capsys.readouterr()
    first, again = out[: len(out) // 2], out[len(out) // 2 :]
    assert len(json.loads(first)) == 3
    assert first == again
    assert re.search(r"media in all +2,000.0 s", err)
    for part in ("queue live", "priority low", "scenario 4K60-h264", "seed", "nothing was submitted"):
        assert part in err
    assert list(tmp_path.iterdir()) == []


def test_start_up_is_quick() -> None:
    """Importing the command does not import HTTP or the launcher: `reelmill --help` answers at once."""
    heavy = "('httpx2', 'stamina', 'reelmill.launcher', 'rich.progress')"
    code = f"import reelmill.cli.launch, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
