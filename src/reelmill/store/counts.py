"""Counts that are kept with every change, so that reading them costs the same for ten jobs and for ten million."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import select

from reelmill.store.bulk import BulkStatement
from reelmill.store.protocol import Tx
from reelmill.store.schema import counts, launch_counts


class CountKey(NamedTuple):
    """What jobs are counted by."""

    status: str
    queue: str
    priority: str
    scenario: str


class CountChange(NamedTuple):
    """One job counted under ``key``, and under its launch when it has one."""

    key: CountKey
    launch_id: str | None


_KEY = {name: counts.c[name].type for name in (*CountKey._fields, "n")}
_LAUNCH_KEY = {name: launch_counts.c[name].type for name in ("launch_id", "status", "n")}
_ADD = BulkStatement(
    "INSERT INTO counts (status, queue, priority, scenario, n) "
    "SELECT new.status, new.queue, new.priority, new.scenario, new.n FROM {new} WHERE true "
    "ON CONFLICT (status, queue, priority, scenario) DO UPDATE SET n = counts.n + excluded.n",
    _KEY,
)
_ADD_LAUNCH = BulkStatement(
    "INSERT INTO launch_counts (launch_id, status, n) "
    "SELECT new.launch_id, new.status, new.n FROM {new} WHERE true "
    "ON CONFLICT (launch_id, status) DO UPDATE SET n = launch_counts.n + excluded.n",
    _LAUNCH_KEY,
)
# A conflict is only found after the CHECK of the row to insert, so a decrease must be an update.
_SUBTRACT = BulkStatement(
    "UPDATE counts SET n = counts.n + new.n FROM {new} WHERE counts.status = new.status "
    "AND counts.queue = new.queue AND counts.priority = new.priority AND counts.scenario = new.scenario",
    _KEY,
)
_SUBTRACT_LAUNCH = BulkStatement(
    "UPDATE launch_counts SET n = launch_counts.n + new.n FROM {new} "
    "WHERE launch_counts.launch_id = new.launch_id AND launch_counts.status = new.status",
    _LAUNCH_KEY,
)


# Whoever writes counts has them all until its commit: one row after the other, two masters would wait in a circle.
_ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(7236142)"
_PENDING = "reelmill_counts"


def change_counts(tx: Tx, changes: Counter[CountChange]) -> None:
    """Add the (positive or negative) numbers of jobs to the counts, with the commit of this transaction.

    All that share the commit are written at once, and no master holds a count, which others need, while it works.
    """
    tx.info.setdefault(_PENDING, []).append(changes)


def pending_counts(tx: Tx) -> int:
    """How far the transaction's changes have come, for `undo_counts`."""
    return len(tx.info.get(_PENDING, ()))


def undo_counts(tx: Tx, pending: int) -> None:
    """Forget the changes since `pending_counts` said that number."""
    del tx.info.get(_PENDING, [])[pending:]


def write_counts(tx: Tx) -> None:
    """Write what `change_counts` was told; the last statements of a transaction, as masters do this one by one."""
    by_key: Counter[CountKey] = Counter()
    by_launch: Counter[tuple[str, str]] = Counter()
    pending: list[Counter[CountChange]] = tx.info.pop(_PENDING, [])
    if pending and tx.dialect.name == "postgresql":
        tx.exec_driver_sql(_ONE_AFTER_THE_OTHER)
    for (key, launch_id), n in chain.from_iterable(changes.items() for changes in pending):
        by_key[key] += n
        if launch_id is not None:
            by_launch[launch_id, key.status] += n
    _change(tx, by_key, _ADD, _SUBTRACT)
    _change(tx, by_launch, _ADD_LAUNCH, _SUBTRACT_LAUNCH)


def _change(tx: Tx, changes: Counter[Any], add: BulkStatement, subtract: BulkStatement) -> None:
    rows = [(*key, n) for key, n in changes.items()]
    subtract.run(tx, [row for row in rows if row[-1] < 0])
    add.run(tx, [row for row in rows if row[-1] > 0])


def read_counts(tx: Tx) -> dict[CountKey, int]:
    """Every count that is not zero."""
    rows = tx.execute(select(counts).where(counts.c.n > 0))
    return {CountKey(row.status, row.queue, row.priority, row.scenario): row.n for row in rows}


def read_launch_counts(tx: Tx, launch_ids: list[str]) -> dict[str, dict[str, int]]:
    """Jobs by status of each of these launches."""
    result: dict[str, dict[str, int]] = {launch_id: {} for launch_id in launch_ids}
    rows = tx.execute(select(launch_counts).where(launch_counts.c.launch_id.in_(launch_ids), launch_counts.c.n > 0))
    for row in rows:
        result[row.launch_id][row.status] = row.n
    return result
