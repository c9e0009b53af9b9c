"""Attempts that come to nothing: which they are, and what they used, as soon as somebody knows."""

from __future__ import annotations

import msgspec

from reelmill.domain.energy import LostAttempt, Spending
from reelmill.domain.failure import WORKER_LOST
from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Cancel, Event, Fail, Lose, Return, Settle

KEPT_LOST_ATTEMPTS = 50
"""Of how many lost attempts a job keeps what they used, the newest: it may be given back and retried for ever."""


def with_loss(before: Job, event: Event, after: Job) -> Job:
    """The job after the event, with the attempt that it ended in vain, if it did.

    One whose engine never started used nothing; but whoever loses a worker, or a job, cannot know that it did not.
    """
    reason = _reason(event)
    if reason is None or not before.is_held or after.is_held:
        return after
    if before.started_at is None and not isinstance(event, Lose | Cancel):
        return after
    spent = _spent_of(before, event if before.result is None else Settle(before.result))  # one that was settled is gone
    lost = LostAttempt(
        attempt=before.attempt,
        node_id=before.node_id,
        node_name=before.node_name,
        reason=reason,
        **msgspec.structs.asdict(spent or Spending()),
    )
    return msgspec.structs.replace(after, lost_attempts=(*before.lost_attempts, lost)[-KEPT_LOST_ATTEMPTS:])


def with_late_word(job: Job, attempt: int, node_id: str, event: Event) -> Job:
    """The job with what a lost attempt used, when its node says so after the loss; a number that is there stays."""
    spent = _spent_of(job, event)
    if spent is None or not spent.is_known:
        return job
    told = tuple(
        msgspec.structs.replace(lost, **msgspec.structs.asdict(spent))
        if (lost.attempt, lost.node_id) == (attempt, node_id) and not lost.is_known
        else lost
        for lost in job.lost_attempts
    )
    return msgspec.structs.replace(job, lost_attempts=told)


def _spent_of(job: Job, event: Event) -> Spending | None:
    """What the attempt used, as its worker says with the event that ends it.

    The result of a join tells of its chunks too, which the next join is made of: that is not known to be lost.
    """
    match event:
        case Fail() | Return():
            return event.spent
        case Settle(result):
            return result.spent if job.chunk_plan is None else None
        case _:
            return None


def _reason(event: Event) -> str | None:
    match event:
        case Fail(failure):
            return failure.code
        case Lose():
            return WORKER_LOST.code
        case Cancel():
            return "canceled"
        case Return():
            return "returned"
        case _:
            return None
