"""What is forgotten: jobs that ended long ago, and what is oldest in long histories and logs.

Each function does a little and says how much: the caller goes on until nothing is left, and others write in between.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import ColumnElement, Table, bindparam, delete, exists, func, select

from reelmill.store.bulk import BulkSelect, BulkStatement
from reelmill.store.counts import CountChange, CountKey, change_counts
from reelmill.store.protocol import Tx
from reelmill.store.schema import history, jobs, launch_counts, launches, logs
from reelmill.store.turn import is_our_turn

KEPT_TRANSITIONS = 200
"""How many steps of a job are kept, the newest; a job that nobody touches by hand takes a dozen."""
KEPT_LOGS = 20
"""Of how many attempts at a job the logs are kept, the newest."""

_ENDED = (
    select(
        jobs.c.sequence_number, jobs.c.id, jobs.c.launch_id, jobs.c.tenant, *(jobs.c[name] for name in CountKey._fields)
    )
    .where(jobs.c.completed_at < bindparam("before"), jobs.c.parent_id.is_(None))
    .order_by(jobs.c.completed_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)  # what another master deletes, or a user retries, is not ours now
)
_CHUNKS_OF = BulkSelect("SELECT sequence_number FROM jobs WHERE parent_id IN {values}", "")
_DELETES = [
    BulkStatement(
        f"DELETE FROM {table.name} WHERE sequence_number IN (SELECT new.number FROM {{new}})",  # noqa: S608 (our names)
        {"number": table.c.sequence_number.type},
    )
    for table in (history, logs, jobs)
]
_OF_LAUNCHES = launches.c.id.in_(bindparam("launches", expanding=True))
_LOCK_LAUNCHES = select(launches.c.id).where(_OF_LAUNCHES).order_by(launches.c.id).with_for_update()
_EMPTY_LAUNCHES = select(launches.c.id).where(_OF_LAUNCHES, ~exists().where(jobs.c.launch_id == launches.c.id))
_DELETE_LAUNCH_COUNTS = delete(launch_counts).where(
    launch_counts.c.launch_id.in_(bindparam("launches", expanding=True))
)
_DELETE_LAUNCHES = delete(launches).where(_OF_LAUNCHES)


def prune_ended(tx: Tx, before: float, most: int) -> int:
    """Forget up to ``most`` of the jobs that ended before that time, the oldest first; how many, none out of turn.

    Their history, logs and chunks go with them, and launches that have no other jobs. Output files stay.
    """
    if not is_our_turn(tx, "prune"):
        return 0
    rows = tx.execute(_ENDED, {"before": before, "most": most}).all()
    if not rows:
        return 0
    touched = sorted({row.launch_id for row in rows if row.launch_id is not None})
    chunks = [number for [number] in _CHUNKS_OF.run(tx, [row.id for row in rows])]
    # Of two masters that prune one launch, the second sees what the first has left of it.
    tx.execute(_LOCK_LAUNCHES, {"launches": touched})
    for statement in _DELETES:
        statement.run(tx, [(number,) for number in (*chunks, *(row.sequence_number for row in rows))])
    empty = set(tx.execute(_EMPTY_LAUNCHES, {"launches": touched}).scalars())
    tx.execute(_DELETE_LAUNCH_COUNTS, {"launches": list(empty)})
    tx.execute(_DELETE_LAUNCHES, {"launches": list(empty)})
    gone: Counter[CountChange] = Counter()
    for row in rows:
        # The counts of an empty launch are gone; what this commit counts there belongs to a new one of that id.
        launch_id = None if row.launch_id in empty else row.launch_id
        gone[CountChange(CountKey(row.status, row.queue, row.priority, row.scenario), launch_id, row.tenant)] -= 1
    change_counts(tx, gone)
    return len(rows)


def next_number(tx: Tx, first: int) -> int | None:
    """The lowest sequence number of a job from ``first`` on; None when there is none."""
    number = jobs.c.sequence_number
    return tx.execute(select(number).where(number >= first).order_by(number).limit(1)).scalar()


def find_long(tx: Tx, first: int, last: int) -> list[int]:
    """The jobs with numbers from ``first`` to ``last`` that have more history or logs than is kept."""
    found: set[int] = set()
    for table, kept in ((history, KEPT_TRANSITIONS), (logs, KEPT_LOGS)):
        number = table.c.sequence_number
        found |= set(
            tx.execute(
                select(number).where(number.between(first, last)).group_by(number).having(func.count() > kept)
            ).scalars()
        )
    return sorted(found)


def trim(tx: Tx, sequence_number: int) -> int:
    """Forget the oldest history and logs of one job beyond what is kept; how many rows."""
    steps = _trim(tx, history, history.c.id, KEPT_TRANSITIONS, sequence_number)
    return steps + _trim(tx, logs, logs.c.attempt, KEPT_LOGS, sequence_number)


def _trim(tx: Tx, table: Table, order: ColumnElement[int], kept: int, sequence_number: int) -> int:
    mine = table.c.sequence_number == sequence_number
    newest_to_go = select(order).where(mine).order_by(order.desc()).offset(kept).limit(1).scalar_subquery()
    return tx.execute(delete(table).where(mine, order <= newest_to_go)).rowcount
