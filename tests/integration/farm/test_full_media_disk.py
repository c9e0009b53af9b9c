"""A media disk that fills up: no job is tried where it can only fail, the node says why, and goes on by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelmill.worker.health import find_trouble
from tests.disks import disk_of, fill
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest
from tests.waiting import wait_until


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB, where the farm of this test has its media; what a dropped attempt leaves free is far less."""
    with disk_of(tmp_path / "media", "24m") as folder:
        yield folder


async def test_no_job_is_taken_while_the_media_disk_is_full(make_farm: FarmMaker, media: Path) -> None:
    """Its tries are kept for better times; the node and the job say why it waits; with space again it runs at once."""
    ballast = fill(media)
    farm = make_farm(min_free="8MB")
    await farm.start_master()
    await farm.worker.start()
    [node] = (await farm.get("/nodes"))["nodes"]
    said = "its media disk has 0 B free, less than `min_free` (8 MB); free some"
    assert ("online", said) == (node["status"], node["trouble"])
    job = await farm.submit(duration=0.2)
    explained = await farm.get(f"/jobs/{job['id']}/explain")
    assert f"every node that can run it takes no jobs now; node-1 takes no jobs: {said}" == explained["summary"]
    await _two_beats(farm)
    seen = await farm.job(job)
    assert ("queued", 0) == (seen["status"], seen["attempt"])

    ballast.unlink()
    ended = await farm.ended(job)
    assert ("completed", 1, 0) == (ended["status"], ended["attempt"], ended["failures"])
    [node] = (await farm.get("/nodes"))["nodes"]
    assert node["trouble"] is None


async def test_a_disk_that_fills_up_costs_a_job_one_try(make_farm: FarmMaker, media: Path) -> None:
    """The one that was running fails with its name; its last tries are kept, although no beat has noticed it yet."""
    farm = make_farm(min_free="20MB", retry_base_seconds=0, lease_seconds=3600, beat_seconds=600)
    await farm.start_master()
    await farm.worker.start()
    job = await farm.running(await farm.submit("720p30-h264", duration=100, bitrate=500_000))
    fill(media)
    failed = await farm.wait(job, lambda seen: seen["failures"] > 0)
    assert "no_space" == failed["error_code"]
    await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["trouble"] is not None)
    left, steps = await farm.job(job), await farm.get(f"/jobs/{job['id']}/history")
    assert ("retrying", 1) == (left["status"], left["attempt"]), steps


async def test_a_job_that_ends_makes_its_worker_look_at_the_disk(make_farm: FarmMaker, media: Path) -> None:
    """So a claim that was open all the time does not bring the next job to a full disk."""
    farm = make_farm(min_free="20MB", retry_base_seconds=60, lease_seconds=3600, beat_seconds=600)
    await farm.start_master()
    await farm.worker.start()
    job = await farm.running(await farm.submit("480p30-h264", duration=100))
    fill(media)
    await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["trouble"] is not None)
    assert 1 == (await farm.job(job))["attempt"]


async def test_a_claim_that_is_open_is_taken_back(make_farm: FarmMaker, media: Path) -> None:
    """The master holds a claim of a worker whose disk fills up meanwhile; a job that comes then is not given to it."""
    farm = make_farm(min_free="8MB")
    await farm.start_master()
    await farm.worker.start()
    await farm.ended(await farm.submit(duration=0.2))  # the worker asks again as soon as it has begun this one
    fill(media)
    await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["trouble"] is not None)
    job = await farm.submit(duration=0.2)
    await _two_beats(farm)
    seen = await farm.job(job)
    assert ("queued", 0) == (seen["status"], seen["attempt"])


async def _two_beats(farm: FarmUnderTest) -> None:
    """Time enough for a worker that would take a job to do so."""
    for _ in range(2):
        before = (await farm.get("/nodes/node-1"))["last_seen"]
        await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["last_seen"] != before)  # noqa: B023


async def test_a_disk_without_inodes_and_one_that_is_read_only_are_told(media: Path) -> None:
    """Both take no job's files, however many bytes are free."""
    subprocess.run(["mount", "-o", "remount,nr_inodes=2", str(media)], check=True)
    (media / "one").touch()
    assert "no inodes are free" in (find_trouble(media, 0, []) or "")
    subprocess.run(["mount", "-o", "remount,ro", str(media)], check=True)
    assert "can only be read" in (find_trouble(media, 0, []) or "")
