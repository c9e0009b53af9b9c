"""Workers that stop, die, are cut off or come late: nothing is lost, nothing is published twice."""

from __future__ import annotations

import asyncio
import errno
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.media import publish as publishing
from reelmill.media.durable import hash_and_sync
from reelmill.media.publish import attempt_output, create_attempt
from reelmill.store.listing import get_job
from reelmill.worker.attempt import Attempt, Workshop
from tests.waiting import wait_until

from .conftest import (
    FarmMaker,
    FarmUnderTest,
    claim_as_dead_worker,
    engines,
    no_engine_within,
    settle_as_dead_worker,
)


async def test_jobs_start_strictly_by_queue_priority_and_arrival(make_farm: FarmMaker) -> None:
    """P10: with room for one, all nine classes submitted in shuffled order start in the order of the farm."""
    farm = make_farm(slots=1)
    await farm.start_master()
    classes = [(queue, priority) for queue in ("live", "default", "batch") for priority in ("high", "medium", "low")]
    shuffled = random.Random(7).sample(classes * 2, 18)
    for queue, priority in shuffled:
        body = {"scenario": "720p30-h264", "queue": queue, "priority": priority, "parameters": {"duration": 0.1}}
        (await farm.http.post("/jobs", json=body)).raise_for_status()
    await farm.worker.start()
    jobs = (await farm.get("/jobs"))["jobs"]
    for job in jobs:
        await farm.ended(job)
    started = sorted((await farm.get("/jobs"))["jobs"], key=lambda job: job["started_at"])
    expected = sorted(jobs, key=lambda job: (classes.index((job["queue"], job["priority"])), job["sequence_number"]))
    assert [job["sequence_number"] for job in expected] == [job["sequence_number"] for job in started]


async def test_a_canceled_job_ends_its_engine_within_a_second_and_publishes_nothing(farm: FarmUnderTest) -> None:
    """Cancel reaches a running engine; what it had encoded is removed."""
    job = await farm.running(await farm.submit("1080p60-h264", duration=600))
    (await farm.http.post(f"/jobs/{job['id']}/cancel")).raise_for_status()
    await no_engine_within(1.0)
    while farm.worker.running_jobs:
        await asyncio.sleep(0.01)
    assert ((await farm.job(job))["status"], farm.outputs(), farm.attempt_folders()) == ("canceled", [], [])


async def test_draining_finishes_what_runs_and_starts_nothing(farm: FarmUnderTest) -> None:
    """P7: the first SIGTERM lets running jobs end, with their leases renewed, and leaves the others queued."""
    jobs = [await farm.submit("720p30-h264", duration=2) for _ in range(3)]
    await farm.running(jobs[0])
    await farm.worker.drain()
    assert [(await farm.job(job))["status"] for job in jobs] == ["completed", "queued", "queued"]


async def test_draining_renews_its_leases(farm: FarmUnderTest) -> None:
    """P7: however long the last job takes, it is not given to another while its worker finishes it."""
    job = await farm.running(await farm.submit("1080p60-h264", duration=600))
    drain = asyncio.create_task(farm.worker.drain())
    await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["status"] == "stopping", seconds=60)

    async def lease() -> float:
        found = await farm.store.read(lambda tx: get_job(tx, job["id"]))
        return (found and found.lease_until) or 0.0

    for _ in range(2):  # the first may have been on its way before
        before = await lease()
        await wait_until(lease, lambda until: until > before)  # noqa: B023
    await farm.worker.stop()
    await drain


async def test_a_worker_that_ends_says_so_at_once(make_farm: FarmMaker) -> None:
    """Whoever looks at the nodes need not wait for its next beat, which here comes in ten minutes."""
    farm = make_farm(lease_seconds=3600, beat_seconds=600)
    await farm.start_master()
    await farm.worker.start()
    await farm.running(await farm.submit("1080p60-h264", duration=600))
    drain = asyncio.create_task(farm.worker.drain())
    await wait_until(lambda: farm.get("/nodes/node-1"), lambda node: node["status"] == "stopping", seconds=60)
    await farm.worker.stop()
    await drain


async def test_stopping_gives_running_jobs_back_at_once(farm: FarmUnderTest) -> None:
    """P7: the second SIGTERM requeues; it is not held against the job."""
    job = await farm.running(await farm.submit("1080p60-h264", duration=600))
    await farm.worker.stop()
    seen = await farm.job(job)
    assert (seen["status"], seen["failures"], seen["crashes"]) == ("queued", 0, 0)
    assert (engines(), farm.attempt_folders()) == ([], [])


async def test_after_the_farm_died_its_jobs_run_again_at_once(make_farm: FarmMaker) -> None:
    """P1, P4: what was running when the process was killed is queued again by the next start, long before its lease."""
    first = make_farm()
    await first.start_master()
    job = await first.submit("480p30-h264", duration=0.2)
    await claim_as_dead_worker(first)
    await first.stop()
    second = make_farm(retry_base_seconds=0)
    await second.start_master()
    await second.worker.start()
    seen = await second.ended(job)
    assert ("completed", 2) == (seen["status"], seen["attempt"])


async def test_a_settled_output_is_published_without_encoding_again(make_farm: FarmMaker, clip: Path) -> None:
    """A crash between settle and publish: the next worker finishes the rename, idempotently."""
    first = make_farm()
    await first.start_master()
    job = await first.submit("480p30-h264", duration=0.2)
    key = await claim_as_dead_worker(first)
    output = attempt_output(create_attempt(first.media, key), "mp4")
    output.write_bytes(clip.read_bytes())
    sha256, size = hash_and_sync(output)
    await settle_as_dead_worker(first, key, job["parameters"]["output"], sha256, size)
    await first.stop()
    second = make_farm()
    await second.start_master()
    await second.worker.start()
    seen = await second.ended(job)
    assert ("completed", 1, sha256) == (seen["status"], seen["attempt"], seen["result"]["sha256"])
    assert clip.read_bytes() == (second.media / seen["result"]["output"]).read_bytes()
    assert second.attempt_folders() == []


async def test_a_late_attempt_cannot_publish(farm: FarmUnderTest) -> None:
    """P3: an attempt whose job was given to another meanwhile is told no, and its output is never seen."""
    job = await farm.running(await farm.submit("480p30-h264", duration=3))
    await farm.store.write(lambda tx: tx.exec_driver_sql("UPDATE jobs SET attempt = attempt + 1"))
    while farm.worker.running_jobs:
        await asyncio.sleep(0.02)
    assert ((await farm.job(job))["status"], farm.outputs(), farm.attempt_folders()) == ("running", [], [])


class DeafBus(MemoryBus):
    """A bus that loses every beat while ``deaf``: the farm's network is cut, not its workers."""

    deaf = False

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        if self.deaf and subject in ("beat", "report"):
            await asyncio.sleep(timeout_seconds)  # a lost word is known to be lost only when its time is up
            return None
        return await super().request(subject, word, timeout_seconds)


async def test_a_worker_that_cannot_renew_ends_its_engine_before_the_lease_is_over(make_farm: FarmMaker) -> None:
    """At two thirds of the lease, on its own clock, a cut-off worker kills what it runs."""
    bus = DeafBus()
    farm = make_farm(bus=bus, lease_seconds=3.0)
    await farm.start_master()
    await farm.worker.start()
    await farm.running(await farm.submit("1080p60-h264", duration=600))
    cut_at = time.monotonic()
    bus.deaf = True
    await no_engine_within(3.0)
    assert time.monotonic() - cut_at < 3.0


async def test_a_stopping_worker_is_not_given_its_own_job_back(farm: FarmUnderTest) -> None:
    """What a worker gives back goes to another, and a job that comes after its goodbye waits for one."""
    job = await farm.running(await farm.submit("1080p60-h264", duration=600))
    await farm.worker.stop()
    later = await farm.submit("480p30-h264", duration=0.1)
    assert [("queued", 1), ("queued", 0)] == [
        (seen["status"], seen["attempt"]) for seen in (await farm.job(job), await farm.job(later))
    ]


async def test_a_hiccup_after_the_rename_does_not_fail_the_job(
    farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in place and only the folder's fsync failed: publishing is tried again, nothing is encoded again."""
    failures = iter([OSError(errno.EIO, "Input/output error")])
    real = publishing.sync_folder

    def fail_once(folder: Path) -> None:
        real(folder)
        for failure in failures:
            raise failure

    monkeypatch.setattr(publishing, "sync_folder", fail_once)
    (farm.media / "outputs").mkdir()
    job = await farm.ended(await farm.submit("480p30-h264", duration=0.1))
    assert ("completed", 1, 1) == (job["status"], job["attempt"], job["failures"])


async def test_the_work_leaves_no_attempt_folder(farm: FarmUnderTest) -> None:
    """Beats that race with reports drop nothing that has ended: after a hundred jobs no folder is left."""
    body = {"jobs": [{"scenario": "480p30-h264", "parameters": {"duration": 0.1}}] * 100, "launch": {"id": "many"}}
    (await farm.http.post("/jobs/batch", json=body)).raise_for_status()
    async with asyncio.timeout(90):
        while (await farm.get("/launches/many"))["open"] or farm.worker.running_jobs:
            await asyncio.sleep(0.05)
    assert ({"completed": 100}, []) == ((await farm.get("/launches/many"))["counts"], farm.attempt_folders())


async def test_leftovers_of_dead_attempts_are_removed_and_foreign_ones_kept(make_farm: FarmMaker) -> None:
    """A start cleans up what its own farm's dead attempts left, and touches nothing that may be another farm's."""
    first = make_farm()
    await first.start_master()
    await first.submit("480p30-h264", duration=0.2)
    dead = await claim_as_dead_worker(first)
    create_attempt(first.media, dead)
    create_attempt(first.media, AttemptKey("another-farms-job", 1))
    await first.stop()
    second = make_farm()
    await second.start_master()
    await second.worker.start()
    assert second.attempt_folders() == ["another-farms-job.1"]


async def test_a_job_that_is_dropped_before_its_first_step_gives_its_room_back(make_farm: FarmMaker) -> None:
    """Else its node would be smaller ever after, and the biggest jobs would wait for good."""
    farm, dropped = make_farm(), list[str]()

    def drop_the_first(grant: Grant, workshop: Workshop, on_room: Callable[[Grant], None]) -> Attempt:
        if not dropped:
            dropped.append(grant.key.job_id)
            asyncio.get_running_loop().call_soon(drop)
        return Attempt(grant, workshop, on_room)

    def drop() -> None:
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == f"job {dropped[0]}"]
        task.cancel()

    await farm.start_master()
    farm.worker = farm.new_worker(make_attempt=drop_the_first)
    await farm.worker.start()
    await farm.submit("720p30-h264", duration=0.2)
    await wait_until(lambda: asyncio.sleep(0, dropped), bool)
    ended = await farm.ended(await farm.submit("720p30-h264", duration=0.2))
    assert "completed" == ended["status"]
