"""Accepting jobs: rows, idempotency keys, launches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from sqlalchemy import bindparam, insert, select, text

from reelmill.domain.job import Job, NewJob
from reelmill.errors import Conflict, Full
from reelmill.store.bulk import BulkInsert
from reelmill.store.counts import CountChange, CountKey, Place, change_counts
from reelmill.store.doorbell import announce_work
from reelmill.store.lanes import MOST_LANES, make_lane, possible_lanes
from reelmill.store.protocol import Tx
from reelmill.store.room import Room
from reelmill.store.rows import NEW_ROW_COLUMNS, SELECT_JOB, chunks, job_from_row, new_row
from reelmill.store.schema import jobs, launches


class Accepted(NamedTuple):
    """A job that the store has; ``created`` is False when an earlier request with its key had made it."""

    job: Job
    created: bool


Answer: TypeAlias = Accepted | Conflict | Full
"""What the store says to a job."""

_Key = tuple[str, str | None]
"""A tenant, and an idempotency key of it."""

_Known: TypeAlias = tuple[Job, str | None] | Full
"""What was made of a key: a job, and the fingerprint of what was asked; or nothing, as there was no room."""

_INSERT = BulkInsert(jobs, NEW_ROW_COLUMNS)
_LAST_SEQUENCE = text("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
_NEXT_SEQUENCES = text("SELECT nextval('jobs_sequence_number_seq') FROM generate_series(1, :n)")
_BY_KEY = select(*SELECT_JOB.selected_columns, jobs.c.idempotency_key, jobs.c.fingerprint).where(
    jobs.c.tenant == bindparam("tenant"), jobs.c.idempotency_key.in_(bindparam("keys", expanding=True))
)


def insert_jobs(
    tx: Tx,
    new: Sequence[NewJob],
    now: float,
    launch_id: str | None = None,
    *,
    max_queued: int | None = None,
    together: bool = False,
) -> list[Answer]:
    """Store the jobs in the order given; one answer each, in the same order.

    A job whose key is known already is not stored again: the answer is the first one, or a Conflict when that one asked
    for something else. A job is refused with Full when ``max_queued`` (None: any number) jobs wait in its queue, or as
    many of its tenant as may; ``together`` all that are new are stored, or Full is raised and none is.
    """
    by_key = _find_known(tx, new)
    fresh = _without_repeats(new, by_key)
    lane_ids = possible_lanes(tx, sorted({job.needs for job in fresh}))
    possible = [job for job in fresh if job.needs in lane_ids]
    refused = _take_room(tx, possible, max_queued, together=together)
    placed = [job for job in possible if job.id not in refused]
    made = {needs: lane_ids[needs] or make_lane(tx, needs) for needs in sorted({job.needs for job in placed})}
    numbers = write_new(tx, placed, [made[job.needs] for job in placed], launch_id, now)
    stored = {job.id: _stored_job(job, number, launch_id, now) for job, number in zip(placed, numbers, strict=True)}
    for job in possible:
        if job.idempotency_key is not None:
            said = (stored[job.id], job.fingerprint) if job.id in stored else refused[job.id]
            by_key[job.tenant, job.idempotency_key] = said
    change_counts(
        tx,
        Counter(
            CountChange(CountKey("queued", job.queue, job.priority, job.scenario), launch_id, job.tenant)
            for job in placed
        ),
    )
    if placed:
        announce_work(tx)
    return [
        Accepted(stored[job.id], True) if job.id in stored else refused.get(job.id) or _answer_other(job, by_key)
        for job in new
    ]


def write_new(
    tx: Tx, new: Sequence[NewJob], lane_ids: Sequence[int], launch_id: str | None, now: float
) -> Sequence[int]:
    """Write the rows of new jobs, each in its lane; their sequence numbers."""
    numbers = _next_numbers(tx, len(new))
    places = zip(new, numbers, lane_ids, strict=True)
    _INSERT.run(tx, [new_row(job, number, launch_id, lane_id, now) for job, number, lane_id in places])
    return numbers


def _take_room(tx: Tx, new: Sequence[NewJob], max_queued: int | None, *, together: bool) -> dict[str, Full]:
    """Why there is no room for some of these jobs, by their ids; ``together``, that is raised instead."""
    if not new:
        return {}
    room = Room(tx, {job.tenant for job in new}, max_queued)
    full = room.take(tx, new)
    if full is None:
        return {}
    if together:
        raise full
    one_by_one = [(job.id, room.take(tx, [job])) for job in new]
    return {job_id: full for job_id, full in one_by_one if full is not None}


class Judgement(NamedTuple):
    """What would become of jobs: None for those that would be accepted; how much room there is, and what lacks it."""

    answers: list[Conflict | None]
    room: Mapping[Place, int]
    lacks: list[Full]


def judge_jobs(tx: Tx, new: Sequence[NewJob], max_queued: int | None) -> Judgement:
    """What `insert_jobs` would say to the jobs now; nothing is changed."""
    by_key = _find_known(tx, new)
    fresh = _without_repeats(new, by_key)
    possible = possible_lanes(tx, sorted({job.needs for job in fresh}))
    good = {job.id: job for job in fresh if job.needs in possible}
    for job in good.values():
        if job.idempotency_key is not None:
            by_key[job.tenant, job.idempotency_key] = (_stored_job(job, 0, None, 0.0), job.fingerprint)
    others = [None if job.id in good else _answer_other(job, by_key) for job in new]
    room = Room(tx, {job.tenant for job in new}, max_queued)
    asked = list(good.values())
    answers = [answer if isinstance(answer, Conflict) else None for answer in others]
    return Judgement(answers, room.left(asked), room.lacks(asked))


def _answer_other(asked: NewJob, by_key: Mapping[_Key, _Known]) -> Answer:
    """What to say of a job that was not stored."""
    known = by_key.get((asked.tenant, asked.idempotency_key))
    if isinstance(known, Full):
        return known
    if known is not None:
        return _answer_repeat(asked, *known)
    sentence = (
        f"the farm knows {MOST_LANES:,} kinds of jobs (by tenant, node labels, engine, codec and cost) and takes no "
        "new ones; use fewer tenants or node labels"
    )
    return Conflict(sentence, code="too_many_kinds")


def _without_repeats(new: Sequence[NewJob], known: Container[_Key]) -> list[NewJob]:
    """The jobs whose keys are not known, and of those with one key the first."""
    taken: set[_Key] = set()
    fresh: list[NewJob] = []
    for job in new:
        if job.idempotency_key is not None:
            key = (job.tenant, job.idempotency_key)
            if key in known or key in taken:
                continue
            taken.add(key)
        fresh.append(job)
    return fresh


def _next_numbers(tx: Tx, n: int) -> Sequence[int]:
    if tx.dialect.name == "postgresql":
        return tx.execute(_NEXT_SEQUENCES, {"n": n}).scalars().all()
    last = tx.execute(_LAST_SEQUENCE).scalar_one_or_none() or 0
    return range(last + 1, last + 1 + n)


def _stored_job(job: NewJob, sequence_number: int, launch_id: str | None, now: float) -> Job:
    return Job(
        id=job.id,
        sequence_number=sequence_number,
        tenant=job.tenant,
        launch_id=launch_id,
        scenario=job.scenario,
        engine=job.engine,
        queue=job.queue,
        priority=job.priority,
        status="queued",
        parameters=job.parameters,
        labels=job.labels,
        node_labels=job.node_labels,
        confidence=job.confidence,
        created_at=now,
        definition=job.definition,
    )


def _find_known(tx: Tx, new: Sequence[NewJob]) -> dict[_Key, _Known]:
    """For each key of these jobs that the store knows: its job, and the fingerprint of what was asked then."""
    wanted: defaultdict[str, dict[str, None]] = defaultdict(dict)  # a key belongs to a tenant
    for job in new:
        if job.idempotency_key is not None:
            wanted[job.tenant][job.idempotency_key] = None
    known: dict[_Key, _Known] = {}
    for tenant, keys in wanted.items():
        for some in chunks(list(keys)):
            for *values, key, fingerprint in tx.execute(_BY_KEY, {"tenant": tenant, "keys": some}):
                known[tenant, key] = (job_from_row(values), fingerprint)
    return known


def _answer_repeat(asked: NewJob, existing: Job, fingerprint: str | None) -> Accepted | Conflict:
    if fingerprint == asked.fingerprint:
        return Accepted(existing, created=False)
    sentence = (
        f"idempotency key {asked.idempotency_key!r} belongs to job {existing.id}, which asked for something else; "
        "use a new key for a new job"
    )
    return Conflict(sentence, code="idempotency_key_reused")


def ensure_launch(tx: Tx, launch_id: str, name: str | None, now: float) -> bool:
    """Know the launch from now on; one that is known already stays as it is. Whether it is new."""
    known = select(launches.c.id).where(launches.c.id == launch_id)
    # The lock keeps it from being pruned, as an empty one, before the jobs are in.
    if tx.execute(known.with_for_update(read=True, key_share=True)).scalar_one_or_none() is not None:
        return False
    tx.execute(insert(launches), {"id": launch_id, "name": name, "created_at": now})
    return True
