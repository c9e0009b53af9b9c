"""Tenants: how many jobs of each may be held by nodes at once, and how many may wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from msgspec import UNSET, UnsetType
from sqlalchemy import Executable, Row, bindparam, delete, func, select, text

from reelmill.domain.tenant import Tenant
from reelmill.store.doorbell import announce_work
from reelmill.store.protocol import Tx
from reelmill.store.schema import IS_HELD, jobs, lanes, tenant_counts, tenants

_SET = (
    "INSERT INTO tenants (name, max_running, max_queued) VALUES (:name, :max_running, :max_queued) "
    "ON CONFLICT (name) DO UPDATE SET "
)
_ALL_LIMITS = select(tenants.c.name, tenants.c.max_running, tenants.c.max_queued).order_by(tenants.c.name)
_LIMITS = _ALL_LIMITS.where(tenants.c.max_running.is_not(None))
_LOCKED_LIMITS = _LIMITS.with_for_update()  # all of them, in one order: two masters never wait for each other
_HELD = select(jobs.c.tenant, func.count()).where(IS_HELD).group_by(jobs.c.tenant)
_HELD_OF = _HELD.where(jobs.c.tenant.in_(bindparam("names", expanding=True)))
_WAITING = select(tenant_counts.c.tenant, tenant_counts.c.waiting).where(tenant_counts.c.waiting > 0)
_ANY = text("SELECT 1 FROM tenants WHERE max_running IS NOT NULL LIMIT 1")


Limit: TypeAlias = int | UnsetType | None
"""A limit to set: None for any number, UNSET to leave it as it is."""


def set_limit(tx: Tx, name: str, max_running: Limit = UNSET, *, max_queued: Limit = UNSET) -> None:
    """Let nodes hold at most ``max_running`` jobs of the tenant at once, and ``max_queued`` of its jobs wait."""
    announce_work(tx)
    row = tx.execute(_ALL_LIMITS.where(tenants.c.name == name).with_for_update()).one_or_none()
    asked = {"max_running": max_running, "max_queued": max_queued}
    limits = {field: getattr(row, field, None) if limit is UNSET else limit for field, limit in asked.items()}
    if any(limit is not None for limit in limits.values()):
        # There was no row to lock if the tenant is new: what another master says of it meanwhile stays.
        changes = ", ".join(f"{field} = excluded.{field}" for field, limit in asked.items() if limit is not UNSET)
        tx.execute(text(_SET + changes), {"name": name, **limits})
    elif row is not None:
        tx.execute(delete(tenants).where(tenants.c.name == name))


def list_tenants(tx: Tx) -> list[Tenant]:
    """Every tenant that ever sent a job or has a limit, by name."""
    limits = {row.name: row for row in tx.execute(_ALL_LIMITS)}
    held, waiting = _count(tx, _HELD), _count(tx, _WAITING)
    names = set(tx.execute(select(lanes.c.tenant).distinct()).scalars()) | limits.keys()
    return [_tenant(name, limits.get(name), held, waiting) for name in sorted(names)]


def get_tenant(tx: Tx, name: str) -> Tenant:
    """The tenant with its limit; one that was never heard of has none and holds nothing."""
    limit = tx.execute(_ALL_LIMITS.where(tenants.c.name == name)).one_or_none()
    held, waiting = _count(tx, _HELD_OF, {"names": [name]}), _count(tx, _WAITING.where(tenant_counts.c.tenant == name))
    return _tenant(name, limit, held, waiting)


def _tenant(
    name: str, limit: Row[*tuple[Any, ...]] | None, held: Mapping[str, int], waiting: Mapping[str, int]
) -> Tenant:
    return Tenant(
        name=name,
        max_running=limit.max_running if limit else None,
        held_jobs=held.get(name, 0),
        max_queued=limit.max_queued if limit else None,
        waiting_jobs=waiting.get(name, 0),
    )


def has_limits(tx: Tx) -> bool:
    """Whether any tenant has a limit of the jobs that nodes hold."""
    return tx.execute(_ANY).first() is not None


def room_of_tenants(tx: Tx, names: Collection[str], *, lock: bool = False) -> dict[str, int]:
    """How many more jobs of each of these tenants may be given to nodes; those that have no limit are left out.

    With ``lock`` no other master gives any job of a limited tenant away from now until the commit.
    """
    if not names:
        return {}
    limits = {row.name: row.max_running for row in tx.execute(_LOCKED_LIMITS if lock else _LIMITS) if row.name in names}
    if not limits:
        return {}
    held = _count(tx, _HELD_OF, {"names": list(limits)})
    return {name: max(0, limit - held.get(name, 0)) for name, limit in limits.items()}


def _count(tx: Tx, query: Executable, values: Mapping[str, object] | None = None) -> dict[str, int]:
    return {row[0]: row[1] for row in tx.execute(query, values)}
