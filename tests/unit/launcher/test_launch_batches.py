"""Batches and keys."""

from __future__ import annotations

import json

import msgspec

from reelmill.domain.request import JobRequest, accept
from reelmill.launcher.batch import PlannedJob, Queue, key_jobs
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import LaunchPlan, plan_jobs


def test_a_key_says_launch_place_and_content() -> None:
    """The same job of the same launch always has the same key; any other job has another."""
    jobs = list(plan_jobs(read_plan(count="50", seed=1)))
    first, again = ([job.key for job in key_jobs(jobs, "a")] for _ in range(2))
    assert first == again
    assert len({*first, *(job.key for job in key_jobs(jobs, "b"))}) == 100
    changed = [msgspec.structs.replace(jobs[0], engine="ffmpeg"), *jobs[1:]]
    assert first[0] != next(key_jobs(changed, "a")).key
    assert all(key.startswith(f"a:{index}:") for index, key in enumerate(first))


def test_what_is_sent_is_what_the_domain_accepts() -> None:
    """Every planned job passes the very check that the master makes."""
    for job in key_jobs(plan_jobs(read_plan(count="200")), "a"):
        assert job.key == accept(msgspec.json.decode(job.body, type=JobRequest), "id").idempotency_key
        assert {**msgspec.to_builtins(job.payload), "idempotency_key": job.key} == json.loads(job.body)


def batches(plan: LaunchPlan, size: int, settled: bytearray | None = None) -> list[list[PlannedJob]]:
    queue = Queue(key_jobs(plan_jobs(plan), "a"), settled or bytearray(plan.count))
    taken: list[list[PlannedJob]] = []
    while queue:
        taken.append(queue.take(size, plan.count))
    return taken


def test_batches_keep_the_order_and_hold_at_most_so_many() -> None:
    """Each job is in one of them, once."""
    found = batches(read_plan(count="103"), 50)
    assert [50, 50, 3] == [len(batch) for batch in found]
    assert list(range(103)) == [job.index for batch in found for job in batch]


def test_a_batch_never_outgrows_what_the_master_takes() -> None:
    """10,000 jobs with very long paths are more than 8 MB: they are sent in several requests."""
    plan = read_plan(count="10k", scenario="480p30-h264", source="/".join(["d" * 200] * 5) + ".mp4")
    found = batches(plan, 10_000)
    assert 10_000 == sum(len(batch) for batch in found)
    assert max(sum(len(job.body) + 1 for job in batch) for batch in found) < 7_000_000


def test_what_is_settled_is_not_taken_again() -> None:
    """Only the jobs whose answer is not known, and never one beyond the end that is asked for."""
    plan = read_plan(count="10")
    settled = bytearray(10)
    settled[2:5] = b"\1" * 3
    assert [0, 1, 5, 6, 7, 8, 9] == [job.index for batch in batches(plan, 4, settled) for job in batch]
    queue = Queue(key_jobs(plan_jobs(plan), "a"), settled)
    assert [0, 1, 5] == [job.index for job in queue.take(50, 6)]
    assert not queue.has_before(6)
    assert queue
