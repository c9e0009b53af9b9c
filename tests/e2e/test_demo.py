"""`reelmill demo`: verified outputs, and nothing left behind however it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from .conftest import Commands, wait_for

LONG = ["--count", "5", "--port", "0", "--duration", "600", "--scenario", "1080p60-h264"]


@pytest.fixture
def temporary(commands: Commands) -> Path:
    folder = commands.folder / "tmp"
    folder.mkdir()
    return folder


def test_the_demo_verifies_its_outputs_and_leaves_nothing(commands: Commands, temporary: Path) -> None:
    """A farm up, jobs launched and verified, exit 0, nothing running, nothing in the temporary folder."""
    end = commands.run("demo", "--count", "12", "--port", "0", "--duration", "0.2", TMPDIR=str(temporary))
    assert 0 == end.returncode, end.stderr
    assert "12 of 12 outputs are in place with the SHA-256 that the farm recorded" in end.stdout
    assert [] == list(temporary.iterdir())
    mine = str(temporary)
    assert [] == [process.pid for process in psutil.process_iter() if any(mine in part for part in _argv(process))]


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGTERM], 130),
        ([signal.SIGHUP], 130),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGKILL], -9),
    ],
    ids=["term", "hup", "ctrl-c-twice", "kill"],
)
def test_a_demo_that_is_ended_takes_its_farm_along(
    commands: Commands, temporary: Path, numbers: list[int], code: int
) -> None:
    """While jobs run: no farm, no engine and no folder stays; only kill -9 leaves the folder, for the next demo."""
    demo = commands.start("demo", *LONG, TMPDIR=str(temporary))
    words = commands.folder / "stderr.txt"
    family = psutil.Process(demo.pid)
    wait_for(
        lambda: family.children(recursive=True),
        lambda found: any("ffmpeg" in " ".join(_argv(one)) and "libx264" in " ".join(_argv(one)) for one in found),
    )
    everyone = family.children(recursive=True)
    for number in numbers:
        demo.send_signal(number)
    assert code == demo.wait(90)
    _, alive = psutil.wait_procs(everyone, timeout=10)
    assert [] == alive
    assert "to cancel" not in words.read_text()
    left = list(temporary.iterdir())
    assert (1 if code == -9 else 0) == len(left)
    for folder in left:
        os.utime(folder / "demo.lock", (1, 1))
    commands.run("demo", "--count", "1", "--port", "0", "--duration", "0.1", TMPDIR=str(temporary))
    assert [] == list(temporary.iterdir())


def test_a_second_demo_in_one_folder_counts_its_own_jobs(commands: Commands) -> None:
    """The first one's outputs are there too, and are not counted."""
    arguments = ["demo", "--port", "0", "--duration", "0.1", "--folder", str(commands.folder / "kept")]
    assert "3 of 3 outputs" in commands.run(*arguments, "--count", "3").stdout
    end = commands.run(*arguments, "--count", "2")
    assert (0, True) == (end.returncode, "2 of 2 outputs" in end.stdout), end.stderr


@pytest.mark.parametrize("arguments", [["--scenario", "nope"], ["--duration", "0"], ["--count", "0"]])
def test_a_demo_of_nonsense_starts_no_farm(commands: Commands, arguments: list[str]) -> None:
    """Exit 2 and one line, before anything is started."""
    end = commands.run("demo", *arguments)
    assert (2, 1) == (end.returncode, len(end.stderr.splitlines())), end.stderr


def test_a_second_farm_on_the_port_ends_the_demo(commands: Commands) -> None:
    """The farm's own line is shown, and the demo ends with 1."""
    farm = commands.up()
    end = commands.run("demo", "--port", farm.url.rsplit(":", 1)[1])
    assert 1 == end.returncode
    assert f"farm already runs at {farm.url}" in end.stderr
