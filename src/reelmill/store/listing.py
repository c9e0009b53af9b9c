"""Reading jobs: one, a page, a history, the logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Row, select

from reelmill.domain.job import Job
from reelmill.store.protocol import Tx
from reelmill.store.retention import KEPT_LOGS, KEPT_TRANSITIONS
from reelmill.store.rows import JOB_FIELDS, SELECT_JOB, job_from_row
from reelmill.store.schema import history, jobs, logs
from reelmill.store.selection import JobFilter, Span, find_way


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job's history; the first has no ``from_status``. ``at`` in seconds since the epoch."""

    at: float
    from_status: str | None
    to_status: str
    attempt: int
    node_name: str | None
    reason: str


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine of one attempt was told and what it said."""

    attempt: int
    node_name: str | None
    command: str
    text: str


_MOST_DIGITS = 19
"""No sequence number has more; Python itself refuses to read thousands."""


def get_job(tx: Tx, reference: str) -> Job | None:
    """The job of that id, or of that sequence number when it is all digits."""
    if "\0" in reference:  # PostgreSQL would refuse the whole query
        return None
    match_by = jobs.c.id == reference
    if reference.isascii() and reference.isdigit():
        number = int(reference[:_MOST_DIGITS])
        if len(reference) > _MOST_DIGITS or number >= 2**63:
            return None
        match_by = jobs.c.sequence_number == number
    row = tx.execute(SELECT_JOB.where(match_by)).one_or_none()
    return job_from_row(row) if row is not None else None


class Slice(NamedTuple):
    """Rows of jobs that a filter selects, and behind which number to go on; None when there are no more."""

    rows: Sequence[Row[*tuple[Any, ...]]]
    following: int | None


def read_slice(
    tx: Tx, wanted: JobFilter, fields: Sequence[str], *, after: int | None, limit: int, newest_first: bool = False
) -> Slice:
    """The number and these columns of up to ``limit`` jobs by sequence number, beginning behind the number ``after``.

    There may be fewer, or none, although others follow: one read looks at so many jobs and no more.
    """
    way = find_way(tx, wanted)
    if way is None:
        return Slice([], None)
    span = Span.behind(after, downwards=newest_first)
    last: int | None = None
    if way.is_long:
        piece = way.slice(tx, span)
        if piece is None:
            return Slice([], None)
        span, last = piece
    columns = [jobs.c[name] for name in ("sequence_number", *fields)]
    rows = tx.execute(way.select(tx, columns, span, limit)).all()
    return Slice(rows, rows[-1][0] if len(rows) == limit else last)


def list_jobs(tx: Tx, wanted: JobFilter, *, after: int | None, limit: int, newest_first: bool = False) -> list[Job]:
    """Up to ``limit`` jobs by sequence number, beginning behind the number ``after``."""
    found: list[Job] = []
    while len(found) < limit:
        left = limit - len(found)
        some = read_slice(tx, wanted, JOB_FIELDS, after=after, limit=left, newest_first=newest_first)
        found += [job_from_row(values) for _, *values in some.rows]
        after = some.following
        if after is None:
            break
    return found


def count_completed_since(tx: Tx, moment: float) -> int:
    """How many jobs were completed after ``moment`` (seconds since the epoch)."""
    query = select(sa.func.count()).where(
        jobs.c.completed_at > moment, jobs.c.status == "completed", jobs.c.parent_id.is_(None)
    )
    return tx.execute(query).scalar_one()


def read_history(tx: Tx, job: Job) -> list[Transition]:
    """The steps of the job, oldest first: its submission, and the newest that are kept."""
    mine = select(history).where(history.c.sequence_number == job.sequence_number)
    rows = tx.execute(mine.order_by(history.c.id.desc()).limit(KEPT_TRANSITIONS)).all()
    first = Transition(
        at=job.created_at, from_status=None, to_status="queued", attempt=0, node_name=None, reason="submitted"
    )
    return [first] + [
        Transition(
            at=row.at,
            from_status=row.from_status,
            to_status=row.to_status,
            attempt=row.attempt,
            node_name=row.node_name,
            reason=row.reason,
        )
        for row in reversed(rows)
    ]


def read_logs(tx: Tx, job: Job) -> list[LogEntry]:
    """What was kept of each of the newest attempts, oldest first."""
    mine = select(logs).where(logs.c.sequence_number == job.sequence_number)
    rows = tx.execute(mine.order_by(logs.c.attempt.desc()).limit(KEPT_LOGS)).all()
    return [
        LogEntry(attempt=row.attempt, node_name=row.node_name, command=row.command, text=row.text)
        for row in reversed(rows)
    ]
