"""Reading jobs: one, a page, a history, the logs."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from reelmill.domain.job import Job
from reelmill.store.protocol import Tx
from reelmill.store.rows import SELECT_JOB, job_from_row
from reelmill.store.schema import history, jobs, logs


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: each list that is not empty must contain the job's value; every label must be there."""

    status: list[str] = []
    queue: list[str] = []
    priority: list[str] = []
    scenario: list[str] = []
    engine: list[str] = []
    launch: list[str] = []
    node: list[str] = []
    tenant: list[str] = []
    labels: dict[str, str] = {}


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
    match_by = jobs.c.id == reference
    if reference.isascii() and reference.isdigit():
        number = int(reference[:_MOST_DIGITS])
        if len(reference) > _MOST_DIGITS or number >= 2**63:
            return None
        match_by = jobs.c.sequence_number == number
    row = tx.execute(SELECT_JOB.where(match_by)).one_or_none()
    return job_from_row(row) if row is not None else None


def list_jobs(tx: Tx, wanted: JobFilter, *, after: int | None, limit: int, newest_first: bool = False) -> list[Job]:
    """Up to ``limit`` jobs by sequence number, beginning behind the number ``after``."""
    query = SELECT_JOB.limit(limit)
    number = jobs.c.sequence_number
    if after is not None:
        query = query.where(number < after if newest_first else number > after)
    query = query.order_by(number.desc() if newest_first else number)
    columns = {
        "status": jobs.c.status,
        "queue": jobs.c.queue,
        "priority": jobs.c.priority,
        "scenario": jobs.c.scenario,
        "engine": jobs.c.engine,
        "launch": jobs.c.launch_id,
        "tenant": jobs.c.tenant,
    }
    for name, column in columns.items():
        if values := getattr(wanted, name):
            query = query.where(column.in_(values))
    if wanted.node:
        query = query.where(jobs.c.node_id.in_(wanted.node) | jobs.c.node_name.in_(wanted.node))
    for name, value in wanted.labels.items():
        query = query.where(_labels(tx)[name].as_string() == value)
    return [job_from_row(row) for row in tx.execute(query)]


def _labels(tx: Tx) -> sa.ColumnElement[Any]:
    """The labels as JSON: SQLite reads it from text, PostgreSQL wants to be told."""
    if tx.dialect.name == "postgresql":
        return sa.cast(jobs.c.labels, postgresql.JSONB)
    return sa.type_coerce(jobs.c.labels, sa.JSON)


def count_completed_since(tx: Tx, moment: float) -> int:
    """How many jobs were completed after ``moment`` (seconds since the epoch)."""
    query = select(sa.func.count()).where(jobs.c.completed_at > moment, jobs.c.status == "completed")
    return tx.execute(query).scalar_one()


def read_history(tx: Tx, job: Job) -> list[Transition]:
    """Every step of the job, oldest first; the first is its submission."""
    rows = tx.execute(select(history).where(history.c.sequence_number == job.sequence_number).order_by(history.c.id))
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
        for row in rows
    ]


def read_logs(tx: Tx, job: Job) -> list[LogEntry]:
    """What was kept of each attempt, oldest first."""
    rows = tx.execute(select(logs).where(logs.c.sequence_number == job.sequence_number).order_by(logs.c.attempt))
    return [LogEntry(attempt=row.attempt, node_name=row.node_name, command=row.command, text=row.text) for row in rows]
