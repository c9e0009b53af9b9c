"""The one way in which jobs change: events, judged by `advance`, written behind fences with history and counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, update

from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Event, NotAllowed, advance
from reelmill.domain.retry import RetryPolicy
from reelmill.store.counts import CountChange, CountKey, change_counts
from reelmill.store.protocol import Tx
from reelmill.store.rows import MUTABLE_FIELDS, SELECT_JOB, changed_values, chunks, job_from_row
from reelmill.store.schema import history, jobs


class Rules(NamedTuple):
    """What a change is judged by: the time of day (seconds since the epoch), the retry policy, and chance."""

    now: float
    policy: RetryPolicy
    rng: random.Random


_BY_ID = SELECT_JOB.where(jobs.c.id.in_(bindparam("ids", expanding=True))).with_for_update()
_BY_SEQUENCE = SELECT_JOB.where(jobs.c.sequence_number.in_(bindparam("numbers", expanding=True))).with_for_update()
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
_RECORD = insert(history)


class Changes:
    """Events applied one after the other to loaded jobs, and written together by `write`.

    Many events share the statements, and several events of one job are one write of its row; the history has them all.
    """

    def __init__(self, loaded: Iterable[Job]) -> None:
        self._before = {job.id: job for job in loaded}
        self.now = dict(self._before)
        """The jobs as they are after the events applied so far, by id."""
        self._history: list[dict[str, Any]] = []

    def apply(self, job_id: str, event: Event, rules: Rules) -> Job:
        """What the event makes of the job; NotAllowed when the table of transitions says no."""
        job = self.now[job_id]
        after, reason = advance(job, event, rules.now, rules.policy, rules.rng)
        self.now[job_id] = after
        self._history.append(
            {
                "sequence_number": job.sequence_number,
                "at": rules.now,
                "from_status": job.status,
                "to_status": after.status,
                "attempt": after.attempt,
                "node_name": after.node_name,
                "reason": reason,
            }
        )
        return after

    def write(self, tx: Tx) -> None:
        """Write every job that changed behind its fence, then history and counts."""
        changed = [(before, self.now[job_id]) for job_id, before in self._before.items() if self.now[job_id] != before]
        if not changed:
            return
        written = tx.execute(_WRITE, [_fenced(before, after) for before, after in changed]).rowcount
        if written != len(changed):
            raise AssertionError(f"{len(changed) - written} jobs changed under their lock")
        tx.execute(_RECORD, self._history)
        counted: Counter[CountChange] = Counter()
        for before, after in changed:
            if before.status != after.status:
                counted[_counted(before)] -= 1
                counted[_counted(after)] += 1
        change_counts(tx, counted)


def load_many(tx: Tx, job_ids: Sequence[str]) -> list[Job]:
    """The jobs of these ids that exist, locked for change."""
    return [job_from_row(row) for ids in chunks(job_ids) for row in tx.execute(_BY_ID, {"ids": ids})]


def load_numbers(tx: Tx, numbers: Sequence[int]) -> list[Job]:
    """The jobs of these sequence numbers that exist, locked for change, in the order of the numbers given."""
    rows = [job_from_row(row) for some in chunks(numbers) for row in tx.execute(_BY_SEQUENCE, {"numbers": some})]
    found = {job.sequence_number: job for job in rows}
    return [found[number] for number in numbers if number in found]


def load(tx: Tx, job_id: str) -> Job | None:
    """The job of that id, locked for change."""
    return next(iter(load_many(tx, [job_id])), None)


def change(tx: Tx, job: Job, event: Event, rules: Rules) -> Job:
    """Apply one event to one loaded job and write it; NotAllowed, and nothing written, when the table says no."""
    changes = Changes([job])
    after = changes.apply(job.id, event, rules)
    changes.write(tx)
    return after


def change_all(tx: Tx, loaded: Sequence[Job], event: Event, rules: Rules) -> list[Job]:
    """Apply one event to each of the jobs that allow it, and write them together; those jobs as they were before."""
    changes = Changes(loaded)
    changed: list[Job] = []
    for job in loaded:
        try:
            changes.apply(job.id, event, rules)
        except NotAllowed:
            continue
        changed.append(job)
    changes.write(tx)
    return changed


def _fenced(before: Job, after: Job) -> dict[str, Any]:
    fence = {
        "fence_sequence": before.sequence_number,
        "fence_attempt": before.attempt,
        "fence_status": before.status,
    }
    return {**changed_values(after), **fence}


def _counted(job: Job) -> CountChange:
    return CountChange(CountKey(job.status, job.queue, job.priority, job.scenario), job.launch_id)
