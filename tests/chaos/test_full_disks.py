"""Disks that are full: of the database, of the outputs, of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path

import httpx2
import psutil
import pytest

from reelmill.store.sqlite import SqliteStore
from tests.chaos.aftermath import read_aftermath
from tests.chaos.mortal import MortalFarm
from tests.disks import disk_of, fill
from tests.e2e.conftest import Commands, wait_for

pytestmark = pytest.mark.slow

DISK_BYTES = 16_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A file system of 16 MB."""
    with disk_of(tmp_path / "small", str(DISK_BYTES)) as disk:
        yield disk


def start_farm(commands: Commands, **variables: str) -> MortalFarm:
    quick = {"REELMILL_RETRY_BASE_SECONDS": "0.5", "REELMILL_MAX_FAILURES": "100", "REELMILL_MIN_FREE": "2MB"}
    farm = MortalFarm(commands, "mill", REELMILL_SLOTS="2", **quick, **variables)
    farm.start()
    return farm.up()


def ask_for_a_job(farm: MortalFarm) -> httpx2.Response:
    return httpx2.post(f"{farm.url}/jobs", json={"scenario": "480p30-h264", "parameters": {"duration": 0.2}})


def test_a_full_database_disk_refuses_with_503_and_loses_nothing(commands: Commands, small_disk: Path) -> None:
    """P1, P2: what was accepted is there and is looked at all the time; with room again all of it completes."""
    commands.log = small_disk / "log"  # it has no more room either
    farm = start_farm(commands, REELMILL_DATA=str(small_disk / "data"))
    accepted = farm.submit(6)
    ballast = fill(small_disk)
    while (answer := ask_for_a_job(farm)).status_code == 201:  # there is some room in the pages that it has
        accepted.append(answer.json()["id"])
    assert (503, "store_unavailable") == (answer.status_code, answer.json()["code"])
    assert "is full" in answer.json()["detail"]
    assert set(accepted) == {job["id"] for job in farm.get("/jobs")["jobs"]}

    ballast.unlink()
    taken = wait_for(lambda: ask_for_a_job(farm), lambda answer: answer.status_code == 201)
    accepted.append(taken.json()["id"])
    assert ["completed"] * len(accepted) == farm.statuses(accepted)
    farm.stop()
    after = asyncio.run(read_aftermath(SqliteStore(small_disk / "data" / "farm.db"), commands.media))
    assert [] == after.violations(accepted)


def test_a_full_output_disk_is_named_and_the_job_completes_when_there_is_room(
    commands: Commands, small_disk: Path
) -> None:
    """The attempt ends as `no_space`, no half output is ever in place, and it is tried again."""
    commands.media = small_disk / "media"
    farm = start_farm(commands)
    [job_id] = farm.submit(duration=12, bitrate=4_000_000)
    wait_for(farm.engines, lambda engines: len(engines) == 1)
    ballast = fill(small_disk)
    wait_for(lambda: farm.history(job_id), lambda steps: any("no_space" in step["reason"] for step in steps))
    assert [] == list((commands.media / "outputs").glob("*"))
    ballast.unlink()
    assert "completed" == farm.ended(job_id)["status"]
    farm.stop()
    after = asyncio.run(read_aftermath(SqliteStore(farm.database), commands.media))
    assert [] == after.violations([job_id])


def test_a_log_that_cannot_be_written_stops_no_work(commands: Commands) -> None:
    """Each line of it fails as on a full disk: jobs run, stand still and go on, fail and are tried again; it stops."""
    commands.log = Path("/dev/full")
    farm = start_farm(commands)
    [job_id] = farm.submit(duration=15)
    others = farm.submit(2)
    wait_for(lambda: farm.get(f"/jobs/{job_id}"), lambda job: job["progress"] > 0)
    engine = next(engine for engine in farm.engines() if job_id in " ".join(engine.cmdline()))
    farm.act(job_id, "pause")
    wait_for(engine.status, lambda status: status == psutil.STATUS_STOPPED)
    farm.act(job_id, "resume")
    wait_for(engine.status, lambda status: status != psutil.STATUS_STOPPED)
    engine.kill()
    assert ["completed"] * 3 == farm.statuses([job_id, *others])
    farm.stop()
