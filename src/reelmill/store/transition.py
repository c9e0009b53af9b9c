"""The one way in which a job changes: an event, judged by `advance`, written behind a fence with its history."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, insert, update

from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Event, advance
from reelmill.domain.retry import RetryPolicy
from reelmill.store.counts import CountChange, CountKey, change_counts
from reelmill.store.protocol import Tx
from reelmill.store.rows import MUTABLE_FIELDS, SELECT_JOB, changed_values, job_from_row
from reelmill.store.schema import history, jobs


class Rules(NamedTuple):
    """What a change is judged by: the time of day (seconds since the epoch), the retry policy, and chance."""

    now: float
    policy: RetryPolicy
    rng: random.Random


_LOAD_BY_ID = SELECT_JOB.where(jobs.c.id == bindparam("job_id")).with_for_update()
_LOAD_BY_SEQUENCE = SELECT_JOB.where(jobs.c.sequence_number == bindparam("sequence_number")).with_for_update()
_WRITE = (
    update(jobs)
    .where(
        jobs.c.sequence_number == bindparam("fence_sequence"),
        jobs.c.attempt == bindparam("fence_attempt"),
        jobs.c.status == bindparam("fence_status"),
    )
    .values(
        {
            **{name: bindparam(name) for name in (*MUTABLE_FIELDS, "ready")},
            "passed_over_at": None,
            "reserved_node": None,
        }
    )
)


def load(tx: Tx, job_id: str) -> Job | None:
    """The job of that id, locked for change."""
    return _job(tx.execute(_LOAD_BY_ID, {"job_id": job_id}).one_or_none())


def load_by_sequence(tx: Tx, sequence_number: int) -> Job | None:
    """The job of that number, locked for change."""
    return _job(tx.execute(_LOAD_BY_SEQUENCE, {"sequence_number": sequence_number}).one_or_none())


def _job(row: Row[Any] | None) -> Job | None:
    return job_from_row(row) if row is not None else None


def change(tx: Tx, job: Job, event: Event, rules: Rules) -> Job:
    """Apply the event to the loaded job, write it with its history and counts, and return what it became.

    NotAllowed when the table of transitions says no; nothing is written then.
    """
    after, reason = advance(job, event, rules.now, rules.policy, rules.rng)
    fence = {"fence_sequence": job.sequence_number, "fence_attempt": job.attempt, "fence_status": job.status}
    written = tx.execute(_WRITE, {**changed_values(after), **fence}).rowcount
    if written != 1:
        raise AssertionError(f"job {job.id} changed under its lock")
    tx.execute(
        insert(history),
        {
            "sequence_number": job.sequence_number,
            "at": rules.now,
            "from_status": job.status,
            "to_status": after.status,
            "attempt": after.attempt,
            "node_name": after.node_name,
            "reason": reason,
        },
    )
    if after.status != job.status:
        change_counts(tx, Counter({_counted(job): -1, _counted(after): 1}))
    return after


def _counted(job: Job) -> CountChange:
    return CountChange(CountKey(job.status, job.queue, job.priority, job.scenario), job.launch_id)
