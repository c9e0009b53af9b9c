"""The one way in which jobs change: events, judged by `advance`, written behind fences with history and counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress
from operator import ne
from typing import Any, NamedTuple

from sqlalchemy import text

from reelmill.domain.chunk import chunk_id
from reelmill.domain.failure import Failure
from reelmill.domain.job import TERMINAL, Job
from reelmill.domain.lifecycle import Cancel, ChunkDone, ChunkFailed, Event, NotAllowed, advance
from reelmill.domain.loss import with_loss
from reelmill.domain.retry import RetryPolicy
from reelmill.store.bulk import BulkInsert, BulkSelect, BulkStatement
from reelmill.store.counts import CountChange, CountKey, change_counts
from reelmill.store.doorbell import announce_work
from reelmill.store.protocol import Tx
from reelmill.store.rows import JOB_FIELDS, MUTABLE_COLUMNS, job_from_row, mutable_values, stored_value
from reelmill.store.schema import history, jobs
from reelmill.store.tenants import has_limits


class Rules(NamedTuple):
    """What a change is judged by: the time of day (seconds since the epoch), the retry policy, and chance."""

    now: float
    policy: RetryPolicy
    rng: random.Random


_JOBS = f"SELECT {', '.join(JOB_FIELDS)} FROM jobs"  # noqa: S608 (names of our own)
_LOCK = "ORDER BY sequence_number FOR UPDATE"  # all masters in one order, so that none waits for another in a circle
_BY_ID = BulkSelect(f"{_JOBS} WHERE id IN {{values}}", _LOCK)
_BY_NUMBER = BulkSelect(f"{_JOBS} WHERE sequence_number IN {{values}}", _LOCK)
_FENCE = {"fence_sequence": "sequence_number", "fence_attempt": "attempt", "fence_status": "status"}
_COLUMNS = range(len(MUTABLE_COLUMNS))
_RECORD = BulkInsert(history, ("sequence_number", "at", "from_status", "to_status", "attempt", "node_name", "reason"))
_WAITS = ("queued", "retrying")
"""What a job becomes that can be claimed, now or when its backoff ends."""
_OPEN_CHUNKS = text("SELECT id FROM jobs WHERE parent_id = :parent AND completed_at IS NULL ORDER BY sequence_number")


class Changes:
    """Events applied one after the other to loaded jobs, and written together by `write`.

    Many events share the statements, and several events of one job are one write of its row; the history has them all.
    """

    def __init__(self, loaded: Iterable[Job]) -> None:
        self._before = {job.id: job for job in loaded}
        self.now = dict(self._before)
        """The jobs as they are after the events applied so far, by id."""
        self._history: list[tuple[Any, ...]] = []
        self._rules: Rules | None = None

    def apply(self, job_id: str, event: Event, rules: Rules) -> Job:
        """What the event makes of the job; NotAllowed when the table of transitions says no."""
        self._rules = rules
        job = self.now[job_id]
        after, reason = advance(job, event, rules.now, rules.policy, rules.rng)
        after = with_loss(job, event, after)
        self.now[job_id] = after
        self._history.append(
            (job.sequence_number, rules.now, job.status, after.status, after.attempt, after.node_name, reason)
        )
        return after

    def write(self, tx: Tx) -> None:
        """Write every job that changed behind its fence, then history and counts.

        A chunk that has ended changes its parent, and the other chunks of a parent that fails of it.
        """
        if self._rules is not None:
            self._tell_parents(tx, self._rules)
        changed = [(before, self.now[job_id]) for job_id, before in self._before.items() if self.now[job_id] != before]
        if not changed:
            return
        _write_jobs(tx, changed)
        _RECORD.run(tx, self._history)
        change_counts(tx, _count(changed))
        if any(after.status in _WAITS for _, after in changed) or (
            any(before.is_held and not after.is_held for before, after in changed) and has_limits(tx)
        ):
            announce_work(tx)

    def _tell_parents(self, tx: Tx, rules: Rules) -> None:
        ended = [
            job
            for job_id, before in self._before.items()
            if before.parent_id is not None
            and before.status not in TERMINAL
            and (job := self.now[job_id]).status in TERMINAL
        ]
        self._load(tx, sorted({str(job.parent_id) for job in ended}))
        for job in ended:
            parent, piece = self.now.get(str(job.parent_id)), job.parameters.piece
            if parent is None or parent.chunk_plan is None or piece is None:
                continue
            if job.id != chunk_id(parent.id, parent.chunk_plan.attempt, piece.index):  # of an earlier plan
                continue
            if job.result is not None:
                self.apply_if_allowed(parent.id, ChunkDone(piece, job.result), rules)
            elif job.status != "canceled":  # only its parent cancels a chunk
                self._fail_parent(tx, parent, job, rules)

    def _fail_parent(self, tx: Tx, parent: Job, chunk: Job, rules: Rules) -> None:
        piece = chunk.parameters.piece
        assert piece is not None
        assert chunk.failure_reason is not None
        why = (chunk.failure_reason, chunk.error_code or "", chunk.error or "")
        failure = Failure.of_chunk(piece.index + 1, parent.chunks, *why)
        if not self.apply_if_allowed(parent.id, ChunkFailed(failure), rules):
            return
        others = tx.execute(_OPEN_CHUNKS, {"parent": parent.id}).scalars().all()
        self._load(tx, others)
        for other in others:
            self.apply_if_allowed(other, Cancel(f"canceled as chunk {piece.index + 1} failed"), rules)

    def _load(self, tx: Tx, job_ids: Sequence[str]) -> None:
        """Know these jobs as well, locked."""
        found = load_many(tx, [job_id for job_id in job_ids if job_id not in self.now])
        self._before |= {job.id: job for job in found}
        self.now |= {job.id: job for job in found}

    def apply_if_allowed(self, job_id: str, event: Event, rules: Rules) -> bool:
        """Apply the event unless the table of transitions says no; whether it was applied."""
        try:
            self.apply(job_id, event, rules)
        except NotAllowed:
            return False
        return True


def _write_jobs(tx: Tx, changed: Sequence[tuple[Job, Job]]) -> None:
    """Write the columns in which any of the jobs differs from what it was, behind the fence of each."""
    values = [(mutable_values(before), mutable_values(after)) for before, after in changed]
    different = {MUTABLE_COLUMNS.index("ready")}  # a retry that is due was made ready without an event
    for before, after in values:
        different.update(compress(_COLUMNS, map(ne, before, after)))
    columns = [(index, MUTABLE_COLUMNS[index]) for index in sorted(different)]
    rows = [
        (
            *[stored_value(name, after[index]) for index, name in columns],
            before.sequence_number,
            before.attempt,
            before.status,
        )
        for (before, _), (_, after) in zip(changed, values, strict=True)
    ]
    written = _write_statement(tuple(name for _, name in columns)).run(tx, rows)
    if written != len(changed):
        raise AssertionError(f"{len(changed) - written} jobs changed under their lock")


@cache
def _write_statement(columns: tuple[str, ...]) -> BulkStatement:
    return BulkStatement(
        f"UPDATE jobs SET {', '.join(f'{name} = new.{name}' for name in columns)}, "  # noqa: S608 (names of our own)
        "passed_over_at = NULL, reserved_node = NULL FROM {new} WHERE jobs.sequence_number = new.fence_sequence "
        "AND jobs.attempt = new.fence_attempt AND jobs.status = new.fence_status",
        {name: jobs.c[name].type for name in columns} | {name: jobs.c[column].type for name, column in _FENCE.items()},
    )


def _count(changed: Iterable[tuple[Job, Job]]) -> Counter[CountChange]:
    """What leaves and what joins each count."""
    moved = Counter(
        (before.status, after.status, before.queue, before.priority, before.scenario, before.launch_id, before.tenant)
        for before, after in changed
        if before.status != after.status and before.parent_id is None  # chunks are counted with their parent
    )
    counted: Counter[CountChange] = Counter()
    for (old, new, queue, priority, scenario, launch_id, tenant), n in moved.items():
        counted[CountChange(CountKey(old, queue, priority, scenario), launch_id, tenant)] -= n
        counted[CountChange(CountKey(new, queue, priority, scenario), launch_id, tenant)] += n
    return counted


def load_many(tx: Tx, job_ids: Sequence[str]) -> list[Job]:
    """The jobs of these ids that exist, locked for change."""
    return [job_from_row(row) for row in _BY_ID.run(tx, job_ids)]


def load_numbers(tx: Tx, numbers: Sequence[int]) -> list[Job]:
    """The jobs of these sequence numbers that exist, locked for change, in the order of the numbers given."""
    found = {job.sequence_number: job for job in map(job_from_row, _BY_NUMBER.run(tx, numbers))}
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
        if changes.apply_if_allowed(job.id, event, rules):
            changed.append(job)
    changes.write(tx)
    return changed
