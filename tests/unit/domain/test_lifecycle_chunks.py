"""What becomes of a job that was split, with its chunks."""

from __future__ import annotations

import random

import msgspec
import pytest

from reelmill.domain.chunk import CHUNKS_PERCENT
from reelmill.domain.failure import Failure
from reelmill.domain.job import Job, Result
from reelmill.domain.lifecycle import (
    Assign,
    Cancel,
    ChunkDone,
    ChunkFailed,
    Fail,
    Lose,
    NotAllowed,
    Retry,
    Split,
    advance,
)
from tests.samples import NOW, PIECES, POLICY, TOO_SLOW, job_in, result

RNG = random.Random(3)


def split_job() -> Job:
    """A job that waits for two chunks."""
    return advance(job_in("assigned"), Split(PIECES), NOW, POLICY, RNG).job


def test_a_job_that_was_split_waits_for_each_chunk_and_then_for_a_node() -> None:
    """It is queued without a holder; its progress is what its chunks have done, by their length."""
    job = split_job()
    assert ("queued", None, 2, 2, 0.0) == (job.status, job.lease_until, job.chunks, job.chunks_left, job.progress)
    job = advance(job, ChunkDone(PIECES[0], result()), NOW, POLICY, RNG).job
    assert (1, CHUNKS_PERCENT / 4) == (job.chunks_left, job.progress)
    job = advance(job, ChunkDone(PIECES[1], result()), NOW, POLICY, RNG).job
    assert ("queued", 0, CHUNKS_PERCENT) == (job.status, job.chunks_left, job.progress)
    with pytest.raises(NotAllowed):
        advance(job, ChunkDone(PIECES[1], result()), NOW, POLICY, RNG)
    assigned = advance(job, Assign("n1", "mill-1", NOW + 30), NOW, POLICY, RNG).job
    assert CHUNKS_PERCENT == assigned.progress == advance(assigned, Lose(), NOW, POLICY, RNG).job.progress


def test_a_chunk_that_is_published_late_counts_for_the_retry() -> None:
    """Its job had failed of another one meanwhile: that is no reason to encode this one again."""
    failed = advance(split_job(), ChunkFailed(TOO_SLOW), NOW, POLICY, RNG).job
    assert ("timed_out", TOO_SLOW.code) == (failed.status, failed.error_code)
    again = advance(
        advance(failed, ChunkDone(PIECES[0], result()), NOW, POLICY, RNG).job, Retry(), NOW, POLICY, RNG
    ).job
    assert ("queued", 1, CHUNKS_PERCENT / 4) == (again.status, again.chunks_left, again.progress)


@pytest.mark.parametrize(
    "event",
    [
        Fail(Failure("platform_error", "chunk_lost", "Chunk 1 is gone.")),
        Fail(Failure("platform_error", "chunks_differ", "Two encoders.")),
        Fail(Failure("runtime_error", "join_inexact", "A frame is missing.")),
        Cancel(),
    ],
    ids=lambda event: event.failure.code if isinstance(event, Fail) else "canceled",
)
def test_a_plan_of_chunks_is_forgotten_when_they_are_useless(event: Fail | Cancel) -> None:
    """The next attempt, be it of the farm or of a user, splits the job anew."""
    joining = msgspec.structs.replace(job_in("running"), chunk_plan=split_job().chunk_plan, chunks=2)
    after = advance(joining, event, NOW, POLICY, RNG).job
    assert (None, 0, 0) == (after.chunk_plan, after.chunks, after.chunks_left)


def test_a_plan_of_chunks_outlives_a_failure_of_the_join() -> None:
    """They are still good."""
    joining = msgspec.structs.replace(job_in("running"), chunk_plan=split_job().chunk_plan, chunks=2)
    after = advance(joining, Fail(TOO_SLOW), NOW, POLICY, RNG).job
    assert (joining.chunk_plan, 2) == (after.chunk_plan, after.chunks)


def test_a_plan_adds_up_what_its_chunks_used() -> None:
    """Unknown as soon as it is of one of them; a plan that an older version began stays without."""
    known = msgspec.structs.replace(result(), energy_joules=2.0, energy_source="rapl")

    def joules(job: Job, *results: Result) -> float | None:
        for piece, made in zip(PIECES[-len(results) :], results, strict=True):
            job = advance(job, ChunkDone(piece, made), NOW, POLICY, RNG).job
        assert job.chunk_plan is not None
        return None if job.chunk_plan.spent is None else job.chunk_plan.spent.energy_joules

    assert (4.0, None, None) == tuple(
        joules(split_job(), *both) for both in ((known, known), (known, result()), (result(), known))
    )
    begun = msgspec.structs.replace(split_job(), chunks_left=1)
    assert joules(begun, known) is None
