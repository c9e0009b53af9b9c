"""Engines that hang, that are killed, and one that kills its worker: each is named, and the other jobs go on."""

from __future__ import annotations

import itertools
import signal

import pytest

from tests.chaos.bad_engine import BAD_BITRATE, make_bad_engine
from tests.chaos.figures import seconds_of
from tests.chaos.mortal import MortalFarm
from tests.e2e.conftest import Commands, wait_for

pytestmark = pytest.mark.slow

HANG_SECONDS = 2.0
MAX_CRASHES = 3


def start_farm(commands: Commands, misbehaviour: str = ":") -> MortalFarm:
    """A farm with a bad engine, for two small jobs at a time."""
    farm = MortalFarm(
        commands,
        "mill",
        REELMILL_FFMPEG=make_bad_engine(commands.folder, misbehaviour),
        REELMILL_HANG_SECONDS=str(HANG_SECONDS),
        REELMILL_RETRY_BASE_SECONDS="0.1",
        REELMILL_MAX_CRASHES=str(MAX_CRASHES),
        REELMILL_SLOTS="2",
    )
    farm.start()
    return farm.up()


def hung_after(farm: MortalFarm, job_id: str) -> float:
    """Seconds between the start of the first attempt, or what is known of it, and its end as hung."""
    history = farm.history(job_id)
    started = next(step["at"] for step in history if step["to_status"] == "running")
    ended = next(step["at"] for step in history if step["reason"].startswith("engine_hung: "))
    return seconds_of(ended) - seconds_of(started)


def test_an_engine_that_says_nothing_is_ended_and_named_and_the_job_tried_again(commands: Commands) -> None:
    """It sleeps, and so does a child of it: both are dead within `hang_seconds`, and the second try completes."""
    once = commands.folder / "hung"
    farm = start_farm(commands, f'[ -e "{once}" ] || {{ : > "{once}"; sleep 600 & sleep 600; }}')
    [bad] = farm.submit(bitrate=BAD_BITRATE)
    others = farm.submit(6)
    job = farm.ended(bad)
    assert ("completed", 2) == (job["status"], job["attempt"])
    assert HANG_SECONDS / 2 < hung_after(farm, bad) < HANG_SECONDS + 10
    assert ["completed"] * 6 == farm.statuses(others)
    assert [] == farm.engines()
    farm.stop()


def test_an_engine_that_was_stopped_by_a_stranger_is_ended_and_the_job_tried_again(commands: Commands) -> None:
    """SIGSTOP from outside in the middle of an encode: no progress and no CPU, so it is taken for hung."""
    farm = start_farm(commands)
    [job_id] = farm.submit(duration=10)
    [engine] = wait_for(farm.engines, lambda engines: len(engines) == 1)
    wait_for(lambda: farm.get(f"/jobs/{job_id}"), lambda job: job["progress"] > 0)
    engine.send_signal(signal.SIGSTOP)
    job = farm.ended(job_id)
    assert ("completed", 2) == (job["status"], job["attempt"])
    assert "engine_hung" in "".join(step["reason"] for step in farm.history(job_id))
    assert not engine.is_running()
    farm.stop()


def test_a_job_that_kills_its_worker_each_time_fails_at_the_crash_limit_and_the_others_complete(
    commands: Commands,
) -> None:
    """P5: the farm is started again as often as it dies; it dies as often as the limit says, and no more."""
    farm = start_farm(commands, "kill -9 $PPID; exec sleep 600")
    others = farm.submit(6)
    # It takes both units, so no job that stands beside it dies with it.
    [poison] = farm.submit(bitrate=BAD_BITRATE, scenario="720p30-h264")
    others += farm.submit(6)
    deaths = 0
    for _ in itertools.repeat(None, 2 * MAX_CRASHES):
        died = wait_for(lambda: (farm.process.poll(), farm.has_ended(poison)), lambda seen: seen != (None, False))
        if died[0] is None:
            break
        deaths += 1
        farm.bury()
        farm.start()
    job = farm.ended(poison)
    assert ("failed", "poisoned", "worker_crashes") == (job["status"], job["failure_reason"], job["error_code"])
    assert MAX_CRASHES == deaths == job["attempt"]
    assert ["completed"] * 12 == farm.statuses(others)
    farm.stop()
