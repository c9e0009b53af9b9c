"""What an engine on a node does is watched from either master of a fleet, and ended from either."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Generator
from typing import Any

from tests.e2e.conftest import Commands, wait_for
from tests.e2e.fleet import Fleet, engines_of

TALKATIVE = {"scenario": "480p30-av1", "parameters": {"duration": 3000}}
SHORT = {"scenario": "480p30-av1", "parameters": {"duration": 2}}


def events(watcher: subprocess.Popen[str]) -> Generator[dict[str, Any], None, None]:
    """What a watcher that writes NDJSON tells, as it comes."""
    assert watcher.stdout is not None
    for line in watcher.stdout:
        yield json.loads(line)


def test_either_master_tells_what_an_engine_does_and_ends_it(fleet: Fleet) -> None:
    """Its steps, progress and lines; a cancel kills it, and everybody who watches hears of it."""
    fleet.master()
    fleet.master()
    job = fleet.post("/jobs", TALKATIVE, master=1)["id"]
    watch = ("jobs", "watch", job, "--logs", "-o", "ndjson", "--master")
    watchers = [fleet.commands.start(*watch, url) for url in fleet.urls]
    wait_for(lambda: fleet.commands.log.read_text().count(" waits: "), lambda count: count == 2)  # all listen
    worker = fleet.worker(fleet.token(), "a")
    for watcher in watchers:
        heard: list[dict[str, Any]] = []
        for event in events(watcher):
            heard.append(event)
            if {"job", "transition", "progress", "log"} <= {one["event"] for one in heard}:
                break
        assert ["assigned", "running"] == [one["to_status"] for one in heard if one["event"] == "transition"]
        assert "Svt[" in next(one for one in heard if one["event"] == "log")["lines"][0]
        assert {job} == {one["job_id"] for one in heard if one["event"] != "job"}

    assert 1 == len(engines_of(worker))
    assert 0 == fleet.commands.run("jobs", "cancel", job, "--master", fleet.urls[0]).returncode
    wait_for(lambda: engines_of(worker), lambda left: not left)
    for watcher in watchers:
        *_, last = events(watcher)
        assert ("job", "canceled") == (last["event"], last["status"])
        assert 3 == watcher.wait(60)


def test_a_watcher_outlives_a_master_that_dies(commands: Commands) -> None:
    """It comes again, hears the steps of the time between once, and ends as the job does."""
    farm = commands.up("--slots", "1")
    port = int(farm.url.rpartition(":")[2])
    job = farm.post("/jobs", TALKATIVE)["id"]
    watcher = commands.start("jobs", "watch", job, "-o", "ndjson", "--master", farm.url)
    heard = events(watcher)
    assert any(event["event"] == "progress" for event in heard)
    farm.kill()
    again = commands.up("--slots", "1", port=port)
    wait_for(lambda: again.get(f"/jobs/{job}"), lambda seen: (seen["status"], seen["attempt"]) == ("running", 2))
    again.post(f"/jobs/{job}/cancel")
    rest = list(heard)
    assert 3 == watcher.wait(60)
    assert ("job", "canceled") == (rest[-1]["event"], rest[-1]["status"])
    steps = [event["to_status"] for event in rest if event["event"] == "transition"]
    history = [step["to_status"] for step in again.get(f"/jobs/{job}/history")["history"]]
    assert ["queued", "assigned", "running", *steps] == history
    assert 4 <= len(steps)
    assert 0 == again.stop()


def test_watching_says_what_happens_in_plain_lines_without_a_terminal(commands: Commands) -> None:
    """Of a job that completes, one that fails, one that ended long ago and one that there is not."""
    farm = commands.up()
    good = farm.post("/jobs", SHORT)["sequence_number"]
    (commands.media / "bad.mp4").write_bytes(b"no film")
    bad = farm.post("/jobs", {"scenario": "480p30-h264", "parameters": {"input": "bad.mp4"}})["sequence_number"]
    where = ("--master", farm.url)
    seen = commands.run("jobs", "watch", str(good), "--logs", *where)
    assert (0, "") == (seen.returncode, seen.stderr)
    assert f"{good} completed" == seen.stdout.splitlines()[-1]
    failed = commands.run("jobs", "watch", str(bad), *where)
    assert 3 == failed.returncode
    assert failed.stdout.splitlines()[-1].startswith(f"{bad} failed: ")
    assert [f"{good} completed"] == commands.run("jobs", "watch", str(good), *where).stdout.splitlines()
    for arguments, what in ((("999",), "there is no job"), ((str(good), "-o", "csv"), "is no table")):
        wrong = commands.run("jobs", "watch", *arguments, *where)
        assert wrong.returncode in (1, 2), wrong.stderr
        assert what in wrong.stderr
        assert 1 == len(wrong.stderr.splitlines())
    assert 0 == farm.stop()


def test_ctrl_c_ends_the_watching_and_not_the_job(commands: Commands) -> None:
    """130, and how to come back."""
    farm = commands.up("--slots", "1")
    job = farm.post("/jobs", TALKATIVE)["id"]
    watcher = commands.start("jobs", "watch", job, "-o", "json", "--master", farm.url)
    assert any(event["event"] == "progress" for event in events(watcher))
    watcher.send_signal(signal.SIGINT)
    assert 130 == watcher.wait(60)
    assert f"reelmill jobs watch {job}" in commands.log.read_text()
    assert "running" == farm.get(f"/jobs/{job}")["status"]
    farm.post(f"/jobs/{job}/cancel")
    assert 0 == farm.stop()
