"""Accepting jobs: rows, idempotency keys, launches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, text

from reelmill.domain.capability import Needs
from reelmill.domain.job import DEFAULT_TENANT, Job, NewJob
from reelmill.errors import Conflict
from reelmill.store.counts import CountChange, CountKey, change_counts
from reelmill.store.protocol import Tx
from reelmill.store.rows import NEW_ROW_COLUMNS, SELECT_JOB, chunks, job_from_row, new_row
from reelmill.store.schema import jobs, lanes, launches


class Accepted(NamedTuple):
    """A job that the store has; ``created`` is False when an earlier request with its key had made it."""

    job: Job
    created: bool


_FIRST_VALUES = {
    "tenant": DEFAULT_TENANT,
    "status": "queued",
    "attempt": 0,
    "failures": 0,
    "crashes": 0,
    "progress": 0.0,
    "ready": True,
}
_INSERT_COLUMNS = (*NEW_ROW_COLUMNS, *_FIRST_VALUES)
_INSERT = text(  # column names of our own, no text from outside
    f"INSERT INTO jobs ({', '.join(_INSERT_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _INSERT_COLUMNS)}) "  # noqa: S608
    "ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING"
)
_INSERT_LANE = text(
    "INSERT INTO lanes (engine, codec, cost) VALUES (:engine, :codec, :cost) "
    "ON CONFLICT (engine, codec, cost) DO NOTHING"
)
_LAST_SEQUENCE = text("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
_NEXT_SEQUENCES = text("SELECT nextval('jobs_sequence_number_seq') FROM generate_series(1, :n)")
_BY_KEY = select(*SELECT_JOB.selected_columns, jobs.c.idempotency_key, jobs.c.fingerprint).where(
    jobs.c.tenant == DEFAULT_TENANT, jobs.c.idempotency_key.in_(bindparam("keys", expanding=True))
)


def insert_jobs(tx: Tx, new: Sequence[NewJob], now: float, launch_id: str | None = None) -> list[Accepted | Conflict]:
    """Store the jobs in the order given; one answer each, in the same order.

    A job whose key is known already is not stored again: the answer is the first one, or a Conflict when that one asked
    for something else.
    """
    numbers = _next_numbers(tx, len(new))
    lane_ids = {needs: _lane_id(tx, needs) for needs in {job.needs for job in new}}
    rows = [
        new_row(job, number, launch_id, lane_ids[job.needs], now) | _FIRST_VALUES
        for job, number in zip(new, numbers, strict=True)
    ]
    stored = tx.execute(_INSERT, rows).rowcount if rows else 0
    repeats = _find_repeats(tx, new) if stored != len(rows) else {}
    answers = [
        _answer_repeat(job, *repeats[job.id]) if job.id in repeats else Accepted(_stored_job(job, row, now), True)
        for job, row in zip(new, rows, strict=True)
    ]
    stored_jobs = [answer.job for answer in answers if isinstance(answer, Accepted) and answer.created]
    change_counts(
        tx,
        Counter(
            CountChange(CountKey("queued", job.queue, job.priority, job.scenario), launch_id) for job in stored_jobs
        ),
    )
    return answers


def _next_numbers(tx: Tx, n: int) -> Sequence[int]:
    if tx.dialect.name == "postgresql":
        return tx.execute(_NEXT_SEQUENCES, {"n": n}).scalars().all()
    last = tx.execute(_LAST_SEQUENCE).scalar_one_or_none() or 0
    return range(last + 1, last + 1 + n)


def _stored_job(job: NewJob, row: dict[str, Any], now: float) -> Job:
    return Job(
        id=job.id,
        sequence_number=row["sequence_number"],
        tenant=row["tenant"],
        launch_id=row["launch_id"],
        scenario=job.scenario,
        engine=job.engine,
        queue=job.queue,
        priority=job.priority,
        status="queued",
        parameters=job.parameters,
        labels=job.labels,
        confidence=job.confidence,
        created_at=now,
    )


def _find_repeats(tx: Tx, new: Sequence[NewJob]) -> dict[str, tuple[Job, str | None]]:
    """For each new id that was not stored: the job that has its key, and that job's fingerprint."""
    wanted: dict[str, list[str]] = {}
    for job in new:
        if job.idempotency_key is not None:
            wanted.setdefault(job.idempotency_key, []).append(job.id)
    repeats: dict[str, tuple[Job, str | None]] = {}
    for keys in chunks(list(wanted)):
        for row in tx.execute(_BY_KEY, {"keys": keys}):
            *values, key, fingerprint = row
            existing = job_from_row(values)
            repeats |= {new_id: (existing, fingerprint) for new_id in wanted[key] if new_id != existing.id}
    return repeats


def _answer_repeat(asked: NewJob, existing: Job, fingerprint: str | None) -> Accepted | Conflict:
    if fingerprint == asked.fingerprint:
        return Accepted(existing, created=False)
    sentence = (
        f"idempotency key {asked.idempotency_key!r} belongs to job {existing.id}, which asked for something else; "
        "use a new key for a new job"
    )
    return Conflict(sentence, code="idempotency_key_reused")


def _lane_id(tx: Tx, needs: Needs) -> int:
    find = select(lanes.c.id).where(
        lanes.c.engine == needs.engine, lanes.c.codec == needs.codec, lanes.c.cost == needs.cost
    )
    found = tx.execute(find).scalar_one_or_none()
    if found is None:
        tx.execute(_INSERT_LANE, needs._asdict())
        found = tx.execute(find).scalar_one()
    return found


def ensure_launch(tx: Tx, launch_id: str, name: str | None, now: float) -> None:
    """Know the launch from now on; one that is known already stays as it is."""
    known = tx.execute(select(launches.c.id).where(launches.c.id == launch_id)).scalar_one_or_none()
    if known is None:
        tx.execute(insert(launches), {"id": launch_id, "name": name, "created_at": now})
