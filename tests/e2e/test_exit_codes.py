"""What each group of commands says to a script: 1 an error, 2 typed wrongly, 3 some failed, 130 interrupted."""

from __future__ import annotations

import signal

import pytest

from .conftest import Commands, wait_for

NOBODY = ("--master", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "words",
    [
        "jobs list --status bogus",
        "jobs wait",
        "nodes drain",
        "tenants limit acme few",
        "tenants limit acme",
        "tenants limit acme --max-queued -1",
        "scenarios show",
        "db check --store mysql",
        "launch --count 0",
        "up --slots 0",
        "up --store mysql://localhost/farm",
        "demo --count none",
        "doctor --port none",
        "nothing",
    ],
)
def test_what_is_typed_wrongly_is_2(commands: Commands, words: str) -> None:
    """Whatever the group, and nothing was asked of anybody, no folder made; no traceback."""
    data, media = str(commands.folder / "data"), str(commands.media)
    end = commands.run(*words.split(), REELMILL_DATA=data, REELMILL_MEDIA=media)
    assert (2, "", True) == (end.returncode, end.stdout, end.stderr.startswith("error: ")), end.stderr
    assert [] == list(commands.folder.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        *("jobs list", "jobs show 1", "jobs cancel 1 2", "jobs wait 1", "nodes list", "nodes drain mill"),
        *("tenants list", "tenants limit acme 1", "launch --count 1"),
    ],
)
def test_without_a_master_each_command_is_1(commands: Commands, words: str) -> None:
    """Not 3: nobody was asked."""
    end = commands.run(*words.split(), *NOBODY)
    assert (1, "", True) == (end.returncode, end.stdout, "nothing answers at" in end.stderr), end.stderr


def test_each_error_is_1_and_some_that_failed_are_3(commands: Commands) -> None:
    """What is not there, or not possible; several jobs of which one is not there; jobs that ended otherwise."""
    farm = commands.up()
    farm.post("/jobs/batch", {"jobs": [{"scenario": "480p30-h264", "engine": "gstreamer"}] * 2})
    for code, words in (
        (1, "jobs show 9"),
        (1, "jobs cancel 9"),
        (1, "jobs cancel --launch none"),
        (1, "jobs wait 9"),
        (1, "nodes show none"),
        (1, "nodes drain none"),
        (1, "scenarios show 8K"),
        (0, "jobs cancel 1"),
        (1, "jobs pause 1"),
        (3, "jobs cancel 2 9"),
        (3, "jobs wait 1 2"),
    ):
        away = () if words.startswith("scenarios") else ("--master", farm.url)
        end = commands.run(*words.split(), *away)
        assert (code, words) == (end.returncode, words), end.stderr
        assert "Traceback" not in end.stderr
    end = commands.run("db", "upgrade", "--data", str(commands.folder / "nowhere"))
    assert (1, True) == (end.returncode, end.stderr.startswith("error: there is no database ")), end.stderr


def test_interrupted_is_130(commands: Commands) -> None:
    """A wait that Ctrl-C ends, without a word."""
    farm = commands.up()
    farm.post("/jobs", {"scenario": "480p30-h264", "engine": "gstreamer"})
    waiting = commands.start("jobs", "wait", "1", "--master", farm.url)
    stderr = commands.folder / "stderr.txt"
    wait_for(stderr.read_text, lambda words: "1 waits: " in words)
    waiting.send_signal(signal.SIGINT)
    assert 130 == waiting.wait(60)
    assert stderr.read_text().splitlines()[-1].startswith("1 waits: ")
