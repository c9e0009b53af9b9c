"""Counts that are kept with every change, so that reading them costs the same for ten jobs and for ten million."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import select, text

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


_ADD = text(
    "INSERT INTO counts (status, queue, priority, scenario, n) VALUES (:status, :queue, :priority, :scenario, :n) "
    "ON CONFLICT (status, queue, priority, scenario) DO UPDATE SET n = counts.n + excluded.n"
)
_ADD_LAUNCH = text(
    "INSERT INTO launch_counts (launch_id, status, n) VALUES (:launch_id, :status, :n) "
    "ON CONFLICT (launch_id, status) DO UPDATE SET n = launch_counts.n + excluded.n"
)
# A conflict is only found after the CHECK of the row to insert, so a decrease must be an update.
_SUBTRACT = text(
    "UPDATE counts SET n = n + :n WHERE status = :status AND queue = :queue AND priority = :priority "
    "AND scenario = :scenario"
)
_SUBTRACT_LAUNCH = text("UPDATE launch_counts SET n = n + :n WHERE launch_id = :launch_id AND status = :status")


def change_counts(tx: Tx, changes: Counter[CountChange]) -> None:
    """Add the (positive or negative) numbers of jobs to the counts."""
    by_key: Counter[CountKey] = Counter()
    by_launch: Counter[tuple[str, str]] = Counter()
    for (key, launch_id), n in changes.items():
        by_key[key] += n
        if launch_id is not None:
            by_launch[launch_id, key.status] += n
    for key, n in by_key.items():
        if n:
            tx.execute(_ADD if n > 0 else _SUBTRACT, {**key._asdict(), "n": n})
    for (launch_id, status), n in by_launch.items():
        if n:
            tx.execute(_ADD_LAUNCH if n > 0 else _SUBTRACT_LAUNCH, {"launch_id": launch_id, "status": status, "n": n})


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
