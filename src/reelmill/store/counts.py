"""Counts that are kept with every change, so that reading them costs the same for ten jobs and for ten million."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple

from sqlalchemy import select

from reelmill.domain.job import WAITING
from reelmill.errors import Full
from reelmill.store.bulk import BulkSelect, BulkStatement
from reelmill.store.protocol import Tx
from reelmill.store.schema import counts, launch_counts, tenant_counts


class CountKey(NamedTuple):
    """What jobs are counted by."""

    status: str
    queue: str
    priority: str
    scenario: str


class CountChange(NamedTuple):
    """One job counted under ``key``, under its launch when it has one, and under its tenant while it waits."""

    key: CountKey
    launch_id: str | None
    tenant: str


class Place(NamedTuple):
    """Where jobs that wait take up room: a queue, and what a tenant has in all of them."""

    kind: Literal["queue", "tenant"]
    name: str


class Outrun(Full):
    """Another master was quicker: what had room when it was looked for has none now."""


_KEY = {name: counts.c[name].type for name in (*CountKey._fields, "n")}
_LAUNCH_KEY = {name: launch_counts.c[name].type for name in ("launch_id", "status", "n")}
_TENANT_KEY = {name: tenant_counts.c[name].type for name in ("tenant", "waiting")}
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
_ADD_TENANT = BulkStatement(
    "INSERT INTO tenant_counts (tenant, waiting) SELECT new.tenant, new.waiting FROM {new} WHERE true "
    "ON CONFLICT (tenant) DO UPDATE SET waiting = tenant_counts.waiting + excluded.waiting",
    _TENANT_KEY,
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
_SUBTRACT_TENANT = BulkStatement(
    "UPDATE tenant_counts SET waiting = tenant_counts.waiting + new.waiting FROM {new} "
    "WHERE tenant_counts.tenant = new.tenant",
    _TENANT_KEY,
)
_WAITING_IN_QUEUES = (
    "SELECT 'queue', queue, CAST(sum(n) AS BIGINT), NULL FROM counts "  # noqa: S608 (names of our own)
    f"WHERE status IN ({', '.join(repr(status) for status in sorted(WAITING))}) GROUP BY queue"
)
_WAITING_OF_TENANTS = (
    "SELECT 'tenant', t.name, coalesce(c.waiting, 0), t.max_queued FROM tenants t "
    "LEFT JOIN tenant_counts c ON c.tenant = t.name WHERE t.max_queued IS NOT NULL AND t.name IN {values}"
)
_NOBODY = ""
"""No tenant is called so; a list of names must not be empty."""
_WAITING = BulkSelect(f"{_WAITING_IN_QUEUES} UNION ALL {_WAITING_OF_TENANTS}", "")


# Whoever writes counts has them all until its commit: one row after the other, two masters would wait in a circle.
_ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(7236142)"
_PENDING = "reelmill_counts"


class _Pending:
    """What a transaction has still to write: the changes of each of its deeds, and how many more jobs wait where."""

    def __init__(self) -> None:
        self.deeds: list[Counter[CountChange]] = []
        self.waiting: Counter[Place] = Counter()
        self.limits: dict[Place, int] = {}
        """Of the places in which room was found."""

    def add(self, changes: Counter[CountChange]) -> None:
        self.deeds.append(changes)
        self._wait(changes, 1)

    def undo(self, deeds: int) -> None:
        for changes in self.deeds[deeds:]:
            self._wait(changes, -1)
        del self.deeds[deeds:]

    def _wait(self, changes: Counter[CountChange], sign: int) -> None:
        for (key, _, tenant), n in changes.items():
            if key.status in WAITING:
                self.waiting[Place("queue", key.queue)] += sign * n
                self.waiting[Place("tenant", tenant)] += sign * n


def _pending(tx: Tx) -> _Pending:
    return tx.info.setdefault(_PENDING, _Pending())


def change_counts(tx: Tx, changes: Counter[CountChange]) -> None:
    """Add the (positive or negative) numbers of jobs to the counts, with the commit of this transaction.

    All that share the commit are written at once, and no master holds a count, which others need, while it works.
    """
    _pending(tx).add(changes)


def pending_counts(tx: Tx) -> int:
    """How far the transaction's changes have come, for `undo_counts`."""
    return len(_pending(tx).deeds)


def undo_counts(tx: Tx, pending: int) -> None:
    """Forget the changes since `pending_counts` said that number."""
    _pending(tx).undo(pending)


def forget_counts(tx: Tx) -> None:
    """Begin anew: nothing is left of a transaction that was refused."""
    tx.info.pop(_PENDING, None)


class Occupancy(NamedTuple):
    """How many jobs wait in a place, and the limit of a tenant that has one."""

    waiting: int
    limit: int | None


def read_waiting(tx: Tx, tenants: Collection[str]) -> dict[Place, Occupancy]:
    """Every queue that has a count, and those of these tenants that have a limit, as this transaction leaves them.

    Costs the same however many jobs there are.
    """
    added = _pending(tx).waiting
    return {
        (place := Place(kind, name)): Occupancy(n + added[place], limit)
        for kind, name, n, limit in _WAITING.run(tx, [*tenants, _NOBODY])
    }


def keep_below(tx: Tx, limits: Mapping[Place, int]) -> None:
    """Let the commit fail with `Outrun` when another master has meanwhile filled one of these places."""
    _pending(tx).limits.update(limits)


def write_counts(tx: Tx) -> None:
    """Write what `change_counts` was told; the last statements of a transaction, as masters do this one by one."""
    pending = _pending(tx)
    forget_counts(tx)
    if not pending.deeds:
        return
    shared = tx.dialect.name == "postgresql"
    if shared:
        tx.exec_driver_sql(_ONE_AFTER_THE_OTHER)
    by_key: Counter[CountKey] = Counter()
    by_launch: Counter[tuple[str, str]] = Counter()
    for (key, launch_id, _), n in chain.from_iterable(changes.items() for changes in pending.deeds):
        by_key[key] += n
        if launch_id is not None:
            by_launch[launch_id, key.status] += n
    by_tenant = Counter({(place.name,): n for place, n in pending.waiting.items() if place.kind == "tenant"})
    _change(tx, by_key, _ADD, _SUBTRACT)
    _change(tx, by_launch, _ADD_LAUNCH, _SUBTRACT_LAUNCH)
    _change(tx, by_tenant, _ADD_TENANT, _SUBTRACT_TENANT)
    if shared and pending.limits:
        _check_limits(tx, pending.limits)


def _check_limits(tx: Tx, limits: Mapping[Place, int]) -> None:
    """Nobody else writes counts before this commit, so what is seen now is what will be."""
    waiting = read_waiting(tx, [place.name for place in limits])
    for place, limit in limits.items():
        if place in waiting and waiting[place].waiting > limit:
            raise Outrun(*place, waiting=waiting[place].waiting, limit=limit, asked=1)


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
