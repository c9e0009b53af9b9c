"""Somebody sets the clock of a running farm, by hours, forth and back."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from reelmill.store.sqlite import SqliteStore
from tests.chaos.aftermath import read_aftermath
from tests.chaos.bad_engine import BAD_BITRATE, make_bad_engine
from tests.chaos.mortal import MortalFarm
from tests.e2e.conftest import Commands, wait_for

pytestmark = pytest.mark.slow

SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long shift = 0;
    int result = syscall(SYS_clock_gettime, clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_SHIFT"), "r") : NULL;
    if (file != NULL) {
        if (fscanf(file, "%ld", &shift) == 1)
            now->tv_sec += shift;
        fclose(file);
    }
    return result;
}
"""
"""The time of day is off by the seconds in a file; clocks that only go forth are not."""


def build_clock(folder: Path) -> Path:
    """A library to be preloaded."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIFTED_CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.mark.parametrize("hours", [3, -3])
def test_a_clock_that_is_set_takes_no_job_from_its_worker(commands: Commands, hours: int) -> None:
    """P2, P4: the lease of a running job is not over because somebody says so, and retries wait no hours."""
    shift = commands.folder / "shift"
    shift.write_text("0")
    farm = MortalFarm(
        commands,
        "mill",
        LD_PRELOAD=str(build_clock(commands.folder)),
        CLOCK_SHIFT=str(shift),
        REELMILL_FFMPEG=make_bad_engine(commands.folder, "sleep 8"),  # longer than to the next sweep
        REELMILL_LEASE_SECONDS="60",
        REELMILL_BEAT_SECONDS="20",  # so the next sweep comes before the next sign of life
        REELMILL_RETRY_BASE_SECONDS="0.1",
        REELMILL_SLOTS="2",
    )
    farm.start()
    farm.up()
    running, failing = farm.submit(2, bitrate=BAD_BITRATE)
    engines = wait_for(farm.engines, lambda engines: len(engines) == 2)
    before = farm.get(f"/jobs/{running}")["created_at"]
    shift.write_text(str(hours * 3600))
    next(engine for engine in engines if failing in " ".join(engine.cmdline())).kill()
    wait_for(lambda: "clock_stepped" in commands.log.read_text(), bool)
    later = farm.submit()

    jobs = [farm.ended(job_id) for job_id in (running, failing, *later)]
    assert [("completed", 1), ("completed", 2), ("completed", 1)] == [(job["status"], job["attempt"]) for job in jobs]
    assert (jobs[2]["created_at"] > before) == (hours > 0), "the farm itself saw the other time"
    farm.stop()
    after = asyncio.run(read_aftermath(SqliteStore(farm.database), commands.media))
    assert [] == after.violations([running, failing, *later])
