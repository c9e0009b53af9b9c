"""Reading the history of all jobs as one stream, in the order of its numbers, without losing one.

Numbers are given in one order and committed in another: on PostgreSQL a transaction may still hold a number when
higher ones can be seen. So what lies behind a missing number waits until every transaction that wrote when it was
first missed has ended; then it is there, or will never be. On SQLite there is one writer, and no such thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select, text

from reelmill.store.protocol import Tx
from reelmill.store.rows import chunks
from reelmill.store.schema import history, jobs

_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND relation = 'history'::regclass"
)
"""Who has written, or is about to write, into the history: the lock comes before the first number, and goes last."""

_NEWEST = select(func.coalesce(func.max(history.c.id), 0))
_IN_ORDER = (
    select(
        *(history.c.id, history.c.at, history.c.from_status, history.c.to_status, history.c.attempt),
        *(history.c.node_name, history.c.reason, jobs.c.id, jobs.c.sequence_number, jobs.c.launch_id),
        *(jobs.c.tenant, jobs.c.scenario),
    )
    .join(jobs, jobs.c.sequence_number == history.c.sequence_number)
    .where(history.c.id > bindparam("after"), history.c.id <= bindparam("until"))
    .order_by(history.c.id)
    .limit(bindparam("most"))
)
_END = 2**63 - 1
_SUBJECTS = select(
    *(jobs.c.id, jobs.c.sequence_number, jobs.c.launch_id, jobs.c.tenant, jobs.c.scenario),
    *(jobs.c.status, jobs.c.attempt, jobs.c.node_id, jobs.c.node_name),
).where(jobs.c.id.in_(bindparam("ids", expanding=True)))


class Step(msgspec.Struct, frozen=True):
    """One step of one job. ``id`` rises over the whole farm; ``at`` in seconds since the epoch."""

    id: int
    at: float
    from_status: str
    to_status: str
    attempt: int
    node_name: str | None
    reason: str
    job_id: str
    sequence_number: int
    launch_id: str | None
    tenant: str
    scenario: str


class Subject(NamedTuple):
    """Whose words these are: a job as it is now."""

    job_id: str
    sequence_number: int
    launch_id: str | None
    tenant: str
    scenario: str
    status: str
    attempt: int
    node_id: str | None
    node_name: str | None


class Mark(NamedTuple):
    """Up to where the history was read: every step up to ``id`` is known, or will never be.

    The numbers up to ``top`` that are missing will never be once none of ``writers`` writes any more.
    """

    id: int
    top: int = 0
    writers: frozenset[str] = frozenset()


class Reading(NamedTuple):
    """The next steps, and where to go on; ``more`` when there may be some at once."""

    steps: list[Step]
    mark: Mark
    more: bool


def newest_step(tx: Tx) -> Mark:
    """A mark at the newest step that can be seen: it may be read on from once none of its writers writes any more."""
    newest = tx.execute(_NEWEST).scalar_one()
    return Mark(newest, newest, writers_now(tx))


def writers_now(tx: Tx) -> frozenset[str]:
    """The transactions that may hold numbers of the history which cannot be seen yet."""
    if tx.dialect.name != "postgresql":
        return frozenset()
    return frozenset(tx.execute(_WRITERS).scalars())


def read_steps(tx: Tx, after: int, until: int, most: int) -> list[Step]:
    """Up to ``most`` of the steps behind ``after`` that can be seen, up to ``until``."""
    return [Step(*row) for row in tx.execute(_IN_ORDER, {"after": after, "until": until, "most": most})]


def read_on(tx: Tx, mark: Mark, most: int) -> Reading:
    """The steps behind the mark, up to the first number that may still come; at most ``most``."""
    found = read_steps(tx, mark.id, _END, most)
    if not found:
        return Reading([], Mark(mark.id), False)
    if tx.dialect.name != "postgresql":
        return Reading(found, Mark(found[-1].id), len(found) == most)
    sure = mark.top if not mark.writers else 0
    whole = 0
    behind = mark.id
    for step in found:
        if step.id != behind + 1 and step.id > sure:
            break
        behind = step.id
        whole += 1
    if whole == len(found):
        return Reading(found, Mark(behind, max(mark.top, behind), mark.writers), len(found) == most)
    # The snapshot is older than this look: who holds a missing number is among these writers, or has ended since.
    writing = writers_now(tx)
    waits = mark.top > behind and bool(mark.writers)
    following = Mark(behind, mark.top, mark.writers & writing) if waits else Mark(behind, found[-1].id, writing)
    return Reading(found[:whole], following, not following.writers)


def read_subjects(tx: Tx, job_ids: Sequence[str]) -> dict[str, Subject]:
    """The jobs of these ids that exist, by id."""
    found: dict[str, Subject] = {}
    for some in chunks(job_ids):
        for row in tx.execute(_SUBJECTS, {"ids": some}):
            found[row.id] = Subject(*row)
    return found
