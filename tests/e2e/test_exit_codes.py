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
    ("words", "said"),
    [
        ("--count 0", "--count: 0 is too small; the least is 1"),
        ("--count -1", "--count: -1 is too small; the least is 1"),
        ("--count abc", "--count: 'abc' is not a count; write a whole number, such as 1000 or 10k"),
        ("--scenario 1080p60-h246", "did you mean '1080p60-h264'?"),
        ("--queue lvie", "did you mean 'live'?"),
        ("--batch-size 10001", "--batch-size: 10001 is too large; the most is 10000"),
        ("--concurrency 0", "--concurrency: 0 is too small"),
        ("--delay soon", "--delay: "),
        ("--rate 5 --delay 100", "--delay: cannot be given with --rate or --ramp"),
        ("--ramp fast", "write it like '0..500/s over 2m'"),
        ("--sample 0%", "--sample: '0%' must be more than 0%"),
        ("--mix live=1,defualt=2", "did you mean 'default'?"),
        ("--threshold fialed<1%", "did you mean 'failed'?"),
        ("--report r.pdf", "--report: 'r.pdf' ends in none of .html, .json, .xml"),
        ("--output nowhere/r.json", "--output: there is no folder"),
        ("--output /proc/r.json", "--output: cannot write '/proc/r.json'"),
        ("--skip-existing", "--skip-existing: needs --input or --from"),
        ("--resume --count 3", "--count: a launch goes on as it began"),
        ("-o json", "has no -o; its results go to a file: --output FILE"),
        ("--cuont 3", "did you mean --count?"),
        ("--workload none.toml", "--workload none.toml: cannot be read"),
        ("--from none.csv", "--from: 'none.csv' cannot be read"),
    ],
)
def test_a_launch_that_is_typed_wrongly_says_so_in_one_line(commands: Commands, words: str, said: str) -> None:
    """Exit 2 before any master was asked, and nothing written."""
    end = commands.run("launch", *words.split(" "), "--dry-run", *NOBODY)
    assert (2, "", 1) == (end.returncode, end.stdout, len(end.stderr.splitlines())), end.stderr
    assert said in end.stderr
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
