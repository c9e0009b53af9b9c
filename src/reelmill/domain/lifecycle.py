"""What may follow what. One table of transitions and one pure function, `advance`; nothing else decides.

An event that the table does not allow raises `NotAllowed`: for a user's action that is a 409, for a worker's report it
is a stale word to be counted and dropped.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

from reelmill.domain.chunk import CHUNKS_PERCENT, CHUNKS_USELESS, Chunk, ChunkPlan
from reelmill.domain.energy import Spending
from reelmill.domain.failure import OUTPUT_LOST, WORKER_LOST, Failure
from reelmill.domain.job import Job, Result, Status
from reelmill.domain.retry import RetryPolicy
from reelmill.errors import Conflict


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """A node is given the job under a lease; a new attempt begins."""

    node_id: str
    node_name: str
    lease_until: float
    engine: str | None = None
    engine_reason: str | None = None


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The engine was started."""


class Settle(msgspec.Struct, frozen=True, tag="settle"):
    """The output was verified and is safe on disk; this attempt wins if the store agrees.

    A stream that was sent leaves nothing to publish: its job is completed by this.
    """

    result: Result


class Publish(msgspec.Struct, frozen=True, tag="publish"):
    """The winner's file is in its place."""


class Fail(msgspec.Struct, frozen=True, tag="fail"):
    """The attempt failed in a way that was understood."""

    failure: Failure
    spent: Spending | None = None


class Lose(msgspec.Struct, frozen=True, tag="lose"):
    """The lease ran out: the worker died, froze or was cut off."""


class Return(msgspec.Struct, frozen=True, tag="return"):
    """The attempt ends without a verdict on the job: a worker that stops, or a grant that never reached it."""

    why: str
    spent: Spending | None = None


class Split(msgspec.Struct, frozen=True, tag="split"):
    """The input was looked at and is encoded in these chunks; the job itself waits until they are complete."""

    chunks: tuple[Chunk, ...]


class ChunkDone(msgspec.Struct, frozen=True, tag="chunk_done"):
    """That chunk of the job is complete, with this result."""

    chunk: Chunk
    result: Result


class ChunkFailed(msgspec.Struct, frozen=True, tag="chunk_failed"):
    """A chunk of the job failed for good."""

    failure: Failure


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The job is not wanted any more, by a user unless ``why`` says otherwise."""

    why: str = "canceled by a user"


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """A user wants the job to wait; a running engine stands still, and its node goes on holding the job."""


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """A user lets a paused job go on."""


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """A user wants an ended job to be tried again, with all its tries."""


_OfChunks = Split | ChunkDone | ChunkFailed
_Plain = Assign | Start | Settle | Publish | Fail | Lose | Return | Cancel | Pause | Resume | Retry
Event = _Plain | _OfChunks
Report = Start | Settle | Publish | Fail | Return | Split
"""The events that a worker sends about its own attempt."""

_RETRY_OR_END: frozenset[Status] = frozenset({"retrying", "failed", "timed_out"})
_NO_PACE: dict[str, None] = {"fps": None, "speed": None, "eta": None, "stream": None}
_OF_ATTEMPTS = Settle | Fail | Lose | Return | Split
"""Events that end an attempt: without a holder there is none to end."""

TRANSITIONS: dict[tuple[Status, type[Event]], frozenset[Status]] = {
    ("queued", Assign): frozenset({"assigned"}),
    ("retrying", Assign): frozenset({"assigned"}),
    ("assigned", Start): frozenset({"running"}),
    ("running", Settle): frozenset({"running", "completed"}),
    ("running", Publish): frozenset({"completed"}),
    ("assigned", Fail): _RETRY_OR_END,
    ("running", Fail): frozenset({"running", "retrying", "failed", "timed_out"}),
    ("assigned", Lose): _RETRY_OR_END,
    ("running", Lose): _RETRY_OR_END,
    ("assigned", Return): frozenset({"queued"}),
    ("running", Return): frozenset({"queued"}),
    ("assigned", Split): frozenset({"queued"}),
    ("queued", ChunkDone): frozenset({"queued"}),
    ("paused", ChunkDone): frozenset({"paused"}),
    ("failed", ChunkDone): frozenset({"failed"}),
    ("timed_out", ChunkDone): frozenset({"timed_out"}),
    ("queued", ChunkFailed): frozenset({"failed", "timed_out"}),
    ("paused", ChunkFailed): frozenset({"failed", "timed_out"}),
    ("queued", Cancel): frozenset({"canceled"}),
    ("retrying", Cancel): frozenset({"canceled"}),
    ("paused", Cancel): frozenset({"canceled"}),
    ("assigned", Cancel): frozenset({"canceled"}),
    ("running", Cancel): frozenset({"canceled"}),
    ("queued", Pause): frozenset({"paused"}),
    ("retrying", Pause): frozenset({"paused"}),
    ("assigned", Pause): frozenset({"paused"}),
    ("running", Pause): frozenset({"paused"}),
    ("paused", Resume): frozenset({"queued", "retrying", "running"}),
    ("paused", Settle): frozenset({"running", "completed"}),
    ("paused", Fail): frozenset({"paused", "failed", "timed_out"}),
    ("paused", Lose): frozenset({"paused"}),
    ("paused", Return): frozenset({"paused"}),
    ("failed", Retry): frozenset({"queued"}),
    ("canceled", Retry): frozenset({"queued"}),
    ("timed_out", Retry): frozenset({"queued"}),
}


class NotAllowed(Conflict):
    """The event makes no sense in the job's state."""

    def __init__(self, job: Job, event: Event) -> None:
        message = f"{type(event).__name__.lower()} is not possible: the job is {describe(job)}"
        super().__init__(message, code="wrong_state", status=job.status)


class Decision(NamedTuple):
    """What an event makes of a job: the job after it, and the reason for its history."""

    job: Job
    reason: str


def describe(job: Job) -> str:
    """The job's state for a sentence; a settled job is on its way to `completed` although it still says `running`."""
    return "being published" if job.status == "running" and job.winner is not None else job.status


def advance(job: Job, event: Event, now: float, policy: RetryPolicy, rng: random.Random) -> Decision:
    """The job after ``event`` at ``now`` (seconds since the epoch); NotAllowed when the table says no.

    A settled job can only be published or fail to be: the winner is decided and its file is being renamed.
    """
    allowed = TRANSITIONS.get((job.status, type(event)))
    settled = job.winner is not None and job.status == "running"
    if allowed is None or (settled and not isinstance(event, Publish | Fail)):
        raise NotAllowed(job, event)
    if isinstance(event, _OF_ATTEMPTS) and not job.is_held:
        raise NotAllowed(job, event)
    if isinstance(event, ChunkDone | ChunkFailed) and not job.chunks_left:
        raise NotAllowed(job, event)
    if isinstance(event, Publish) and not settled:
        raise NotAllowed(job, event)
    is_of_chunks = isinstance(event, _OfChunks)
    decision = _decide_chunks(job, event, now) if is_of_chunks else _decide(job, event, now, policy, rng)
    if decision.job.status not in allowed:  # a rule below contradicts the table: never store it
        raise AssertionError(f"{job.status} -> {decision.job.status} is not in the table for {event}")
    return decision


def _decide(job: Job, event: _Plain, now: float, policy: RetryPolicy, rng: random.Random) -> Decision:
    change = msgspec.structs.replace
    match event:
        case Assign():
            engine = f" ({event.engine}; {event.engine_reason})" if event.engine_reason else ""
            return Decision(_assigned(job, event, now), f"assigned to {event.node_name}{engine}")
        case Start():
            return Decision(change(job, status="running", started_at=now), "engine started")
        case Settle():
            return _settle(job, event, now)
        case Publish():
            return Decision(_published(job, now), "output published")
        case Fail():
            return _failed(job, event.failure, now, policy, rng)
        case Lose():
            return _lost(job, now, policy, rng)
        case Return():
            return Decision(change(_released(job), status=_unless_paused(job, "queued")), event.why)
        case Cancel(why):
            reason = Failure("canceled", "canceled", "Canceled by a user.")
            reason = msgspec.structs.replace(reason, message=f"{why[:1].upper()}{why[1:]}.")
            return Decision(_final(_in_one(job), "canceled", reason, now), why)
        case Pause():
            return Decision(_paused(job), "paused by a user")
        case Resume():
            return Decision(change(job, status=_resumed(job, now)), "resumed by a user")
        case Retry():
            return Decision(_fresh(job), "retried by a user")


def _decide_chunks(job: Job, event: _OfChunks, now: float) -> Decision:
    match event:
        case Split(chunks):
            return Decision(_split(job, chunks), f"split into {len(chunks)} chunks")
        case ChunkDone(chunk, result):
            return Decision(_with_chunk(job, chunk, result), f"chunk {chunk.index + 1} of {job.chunks} is complete")
        case ChunkFailed(failure):
            status: Status = "timed_out" if failure.reason == "timeout" else "failed"
            return Decision(_final(job, status, failure, now), f"{failure.code}: {failure.message}")


def _assigned(job: Job, event: Assign, now: float) -> Job:
    return msgspec.structs.replace(
        job,
        status="assigned",
        attempt=job.attempt + 1,
        node_id=event.node_id,
        node_name=event.node_name,
        lease_until=event.lease_until,
        engine_used=event.engine,
        engine_reason=event.engine_reason,
        assigned_at=now,
        started_at=None,
        eligible_at=None,
        progress=_progress_at_rest(job),
        **_NO_PACE,
    )


def kept_result(job: Job, said: Result) -> Result:
    """What was made is the worker's word; where it goes is the job's, whatever a worker says."""
    output = job.parameters.target
    return said if output is None else msgspec.structs.replace(said, output=output)


def _settle(job: Job, event: Settle, now: float) -> Decision:
    result = kept_result(job, event.result)
    if job.parameters.is_streamed != (result.stream is not None):
        raise NotAllowed(job, event)
    if job.parameters.is_streamed:
        return Decision(_published(_settled(job, result), now), "stream ended")
    return Decision(_settled(job, result), "output verified")


def _settled(job: Job, result: Result) -> Job:
    fps = round(result.frames / result.encode_seconds, 1) if result.encode_seconds > 0 else None
    return msgspec.structs.replace(
        job,
        status="running",
        winner=job.attempt,
        result=result,
        progress=100.0,
        fps=fps,
        speed=result.speed,
        eta=None,
        stream=None,  # the result has it
    )


def _paused(job: Job) -> Job:
    """A job that runs stays where it is, without a pace; one that was only assigned has nothing there to go on with."""
    still = msgspec.structs.replace(job, status="paused", **_NO_PACE)
    return _released(still) if job.status == "assigned" else still


def _resumed(job: Job, now: float) -> Status:
    if job.is_held:
        return "running"
    return "retrying" if job.eligible_at is not None and job.eligible_at > now else "queued"


def _unless_paused(job: Job, status: Status) -> Status:
    """The status of a job that would go on by itself: what a user has paused stays paused until it is resumed."""
    return "paused" if job.status == "paused" else status


def _published(job: Job, now: float) -> Job:
    """What went wrong in earlier attempts stays in the history; the job itself went well."""
    return msgspec.structs.replace(
        job,
        status="completed",
        completed_at=now,
        lease_until=None,
        failure_reason=None,
        error_code=None,
        error=None,
    )


def _released(job: Job) -> Job:
    """The job without a holder; the name of its last node stays for people to see."""
    return msgspec.structs.replace(job, node_id=None, lease_until=None, progress=_progress_at_rest(job), **_NO_PACE)


def _progress_at_rest(job: Job) -> float:
    """Percent of a job that no node works on: what its chunks have done is done."""
    if job.chunk_plan is None:
        return 0.0
    return job.progress if job.chunks_left else CHUNKS_PERCENT


def _split(job: Job, chunks: tuple[Chunk, ...]) -> Job:
    plan = ChunkPlan(job.attempt, chunks)
    waiting = msgspec.structs.replace(_released(job), status="queued")
    return msgspec.structs.replace(waiting, chunk_plan=plan, chunks=len(chunks), chunks_left=len(chunks))


def _with_chunk(job: Job, chunk: Chunk, result: Result) -> Job:
    plan = job.chunk_plan
    assert plan is not None
    left, progress = job.chunks_left - 1, job.progress + CHUNKS_PERCENT * plan.share(chunk)
    is_first = job.chunks_left == job.chunks
    plan = plan.with_done(result.encode_seconds, result.cpu_seconds, result.spent, is_first=is_first)
    progress = progress if left else CHUNKS_PERCENT
    return msgspec.structs.replace(job, chunk_plan=plan, chunks_left=left, progress=progress)


def _in_one(job: Job) -> Job:
    """The job as if it had never been split: what its chunks made is not needed, or is lost."""
    return msgspec.structs.replace(job, chunk_plan=None, chunks=0, chunks_left=0)


def _final(job: Job, status: Status, failure: Failure, now: float) -> Job:
    return msgspec.structs.replace(
        job,
        status=status,
        completed_at=now,
        lease_until=None,
        stream=None,
        failure_reason=failure.reason,
        error_code=failure.code,
        error=failure.message,
    )


def _fresh(job: Job) -> Job:
    return msgspec.structs.replace(
        _released(job),
        status="queued",
        failures=0,
        crashes=0,
        eligible_at=None,
        started_at=None,
        completed_at=None,
        failure_reason=None,
        error_code=None,
        error=None,
    )


def _failed(job: Job, failure: Failure, now: float, policy: RetryPolicy, rng: random.Random) -> Decision:
    failed = msgspec.structs.replace(job, failures=job.failures + 1)
    again = failure.retryable and failed.failures < policy.max_failures
    if again and job.winner is not None and failure.code != OUTPUT_LOST:
        # The output is verified and safe: its publication is tried again, by whoever takes over the lease.
        wait = policy.backoff(failed.failures, rng)
        waiting = msgspec.structs.replace(failed, lease_until=now + wait)
        return Decision(waiting, f"{failure.code}: {failure.message} Its publication is tried again in {wait:.1f} s")
    unsettled = msgspec.structs.replace(failed, winner=None, result=None)
    if failure.code in CHUNKS_USELESS:
        unsettled = _in_one(unsettled)
    return _ended_attempt(unsettled, failure, again, now, policy, rng)


def _ended_attempt(
    job: Job, failure: Failure, again: bool, now: float, policy: RetryPolicy, rng: random.Random
) -> Decision:
    if not again:
        status: Status = "timed_out" if failure.reason == "timeout" else "failed"
        return Decision(_final(job, status, failure, now), f"{failure.code}: {failure.message}")
    wait = policy.backoff(job.failures + job.crashes, rng)
    waiting = msgspec.structs.replace(
        _released(job),
        status=_unless_paused(job, "retrying"),
        eligible_at=now + wait,
        failure_reason=failure.reason,
        error_code=failure.code,
        error=failure.message,
    )
    return Decision(waiting, f"{failure.code}: {failure.message} Tried again in {wait:.1f} s")


def _lost(job: Job, now: float, policy: RetryPolicy, rng: random.Random) -> Decision:
    if job.status == "paused":  # an engine that stands still takes no worker with it
        return Decision(_released(job), "its worker stopped answering; it begins anew when it is resumed")
    # An assigned job counts too: its engine may have killed the worker before anyone heard of it.
    crashed = msgspec.structs.replace(job, crashes=job.crashes + 1)
    if crashed.crashes < policy.max_crashes:
        return _ended_attempt(crashed, WORKER_LOST, True, now, policy, rng)
    times = f"{crashed.crashes} workers stopped answering while they had this job"
    poisoned = Failure("poisoned", "worker_crashes", f"{times}; it is not tried again. Look at its input and its logs.")
    return _ended_attempt(crashed, poisoned, False, now, policy, rng)
