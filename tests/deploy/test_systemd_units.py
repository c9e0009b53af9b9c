"""The systemd units: systemd's own judgement of them, and whether what an engine does is allowed to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg  # pyright: ignore[reportMissingTypeStubs]
import pytest

from reelmill.worker.confinement import Confinement

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
NAMES = ["reelmill-master.service", "reelmill-worker.service"]


@pytest.fixture(autouse=True)
def _tools() -> None:
    """A machine without them judges nothing, and must not look as if it had."""
    for program, package in (("systemd-analyze", "systemd"), ("systemd-sysusers", "systemd"), ("strace", "strace")):
        assert shutil.which(program), f"{program} is not here; type: apt-get install {package}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which reelmill is installed as deploy/README.md says."""
    shutil.copytree("/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    program = tmp_path / "opt/reelmill/bin/reelmill"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(UNITS / name, units)
    return tmp_path


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_systemd_accepts_the_unit_without_a_word(root: Path, name: str) -> None:
    """No unknown key, no value that it would ignore, no program that is not there."""
    end = _analyze("verify", f"--root={root}", name)
    assert (0, "", "") == (end.returncode, end.stdout, end.stderr)


@pytest.mark.parametrize(
    ("good", "bad"), [("KillMode=mixed", "KillMode=mixd"), ("Restart=", "Restrat="), ("/bin/reelmill ", "/bin/relmil ")]
)
def test_a_mistake_in_a_unit_is_found(root: Path, good: str, bad: str) -> None:
    """The check itself can fail."""
    unit = root / "etc/systemd/system" / NAMES[1]
    assert good in unit.read_text()
    unit.write_text(unit.read_text().replace(good, bad))
    end = _analyze("verify", f"--root={root}", NAMES[1])
    assert "" != end.stderr


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_the_unit_well_closed(root: Path, name: str) -> None:
    """An exposure of at most 2.0 of 10, as systemd counts."""
    end = _analyze("security", "--offline=true", "--threshold=20", f"--root={root}", "--no-pager", name)
    assert 0 == end.returncode, end.stdout


def test_systemd_makes_the_user_and_the_folders(tmp_path: Path) -> None:
    """The sysusers and tmpfiles settings do what they say, below a root of their own."""
    (tmp_path / "etc").mkdir()
    for tool, file in (("sysusers", "reelmill.sysusers"), ("tmpfiles", "reelmill.tmpfiles")):
        create = ["--create"] if tool == "tmpfiles" else []
        argv = [f"systemd-{tool}", *create, f"--root={tmp_path}", str(UNITS / file)]
        end = subprocess.run(argv, capture_output=True, text=True, check=False)
        if tool == "tmpfiles" and os.geteuid() != 0:
            pytest.skip("only root may give folders away")
        assert 0 == end.returncode, end.stderr
    users = (tmp_path / "etc/passwd").read_text()
    assert re.search(r"^reelmill:[^:]*:\d+:\d+:reelmill:/var/lib/reelmill:\S*nologin$", users, re.MULTILINE)
    assert 0o2750 == (tmp_path / "srv/reelmill").stat().st_mode & 0o7777


def _filter(unit: Path) -> set[str]:
    """The system calls that the unit allows."""
    allowed: set[str] = set()
    for word in re.findall(r"^SystemCallFilter=(\S+)$", unit.read_text(), re.MULTILINE):
        if word.startswith("~"):
            allowed -= set(_calls(word[1:]))
        else:
            allowed |= set(_calls(word))
    return allowed


def _calls(word: str) -> Iterator[str]:
    """A call stands for itself, a group for what systemd lists below its name."""
    if not word.startswith("@"):
        yield word
        return
    for line in _analyze("syscall-filter", word).stdout.splitlines()[1:]:
        if not line.strip().startswith("#"):
            yield from _calls(line.strip())


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
def test_an_engine_makes_only_calls_that_the_unit_allows(tmp_path: Path, encoder: str) -> None:
    """Every system call of an encode, started as a worker starts it, is in the filter of the worker's unit."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"]
    output = str(tmp_path / "out.mkv")
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, "-c:v", encoder, output]
    confined = Confinement(memory=2 * 1024**3, nice=5).confine(ffmpeg)
    calls = tmp_path / "calls.txt"
    traced = ["strace", "-f", "-c", "-U", "name", "-o", str(calls), "setpriv", "--pdeathsig", "KILL", "--", *confined]
    subprocess.run(traced, check=True, timeout=100)
    made = set(re.findall(r"^[a-z]\w*", calls.read_text(), re.MULTILINE)) - {"syscall", "total"}
    assert {"execve", "setpriority", "prctl"} <= made
    assert set() == made - _filter(UNITS / NAMES[1])
