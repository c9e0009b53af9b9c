"""The image: hadolint's judgement, what goes into it, and the check of its health. Docker itself is not run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Commands

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"


def _hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    argv = [HADOLINT, "--no-color", "--failure-threshold", "style", file]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    """No error, warning, hint or matter of style."""
    end = _hadolint(DOCKERFILE)
    assert (0, "", "") == (end.returncode, end.stdout, end.stderr)


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ("COPY src", "ADD src", "DL3020"),
    ],
)
def test_a_mistake_in_the_dockerfile_is_found(tmp_path: Path, good: str, bad: str, rule: str) -> None:
    """The check itself can fail."""
    text = DOCKERFILE.read_text()
    assert good in text
    (tmp_path / "Dockerfile").write_text(text.replace(good, bad))
    assert rule in _hadolint(tmp_path / "Dockerfile").stdout


@pytest.mark.parametrize("package", ["nats-py", "psycopg", "obstore"])
def test_the_image_has_what_fleets_are_made_with(package: str) -> None:
    """Its master speaks to a bus, to PostgreSQL, and to an object store."""
    lock = (ROOT / "requirements/fleet.lock").read_text()
    assert re.search(rf"^{package}(?:\[\w+\])?==", lock, re.MULTILINE)


def test_what_is_copied_reaches_the_builder_and_exists() -> None:
    """Each source of a COPY is there, and the list of what goes to the builder lets it in."""
    allowed = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert {"requirements/fleet.lock", "src"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in allowed or f"!{Path(source).parent}/*{Path(source).suffix}" in allowed, source


def test_the_image_holds_what_was_tested() -> None:
    """Every pin of the image's locks is that of the lock with which the tests run."""
    pins = {name: _pins(name) for name in ("build", "fleet", "dev")}
    for name in ("build", "fleet"):
        assert {} == {package: pin for package, pin in pins[name].items() if pins["dev"].get(package) != pin}
    assert {"nats-py", "psycopg", "litestar", "imageio-ffmpeg"} <= pins["fleet"].keys()


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE))


def test_the_last_stage_is_nobody_in_particular() -> None:
    """The process is a number other than root's, so that `runAsNonRoot` can see it."""
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["10001:10001"]


def test_the_check_of_its_health_follows_a_real_master(commands: Commands) -> None:
    """The very words of the Dockerfile: 0 while a farm is ready, else not."""
    [check] = re.findall(r"^\s+CMD (\[.+\])$", DOCKERFILE.read_text(), re.MULTILINE)
    program, *arguments = json.loads(check)
    assert "python" == program
    farm = commands.up()
    environment = os.environ | {"REELMILL_PORT": farm.url.rpartition(":")[2]}

    def healthy() -> bool:
        end = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False, timeout=60
        )
        return end.returncode == 0

    assert healthy()
    with pytest.raises(urllib.error.HTTPError):  # a name that it does not know: what else it says is no health
        urllib.request.urlopen(urllib.request.Request(f"{farm.url}/readyz", headers={"Host": "elsewhere"}))
    assert 0 == farm.stop()
    assert not healthy()
