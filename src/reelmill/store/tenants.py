"""Tenants: how many jobs of each may be held by nodes at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Executable, bindparam, delete, func, select, text

from reelmill.domain.tenant import Tenant
from reelmill.store.doorbell import announce_work
from reelmill.store.protocol import Tx
from reelmill.store.schema import IS_HELD, jobs, lanes, tenants

_SET = text(
    "INSERT INTO tenants (name, max_running) VALUES (:name, :max_running) "
    "ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running"
)
_LIMITS = select(tenants.c.name, tenants.c.max_running).order_by(tenants.c.name)
_LOCKED_LIMITS = _LIMITS.with_for_update()  # all of them, in one order: two masters never wait for each other
_HELD = select(jobs.c.tenant, func.count()).where(IS_HELD).group_by(jobs.c.tenant)
_HELD_OF = _HELD.where(jobs.c.tenant.in_(bindparam("names", expanding=True)))
_ANY = text("SELECT 1 FROM tenants LIMIT 1")


def set_limit(tx: Tx, name: str, max_running: int | None) -> None:
    """Let nodes hold at most that many jobs of the tenant at once; None for any number."""
    announce_work(tx)
    if max_running is None:
        tx.execute(delete(tenants).where(tenants.c.name == name))
    else:
        tx.execute(_SET, {"name": name, "max_running": max_running})


def list_tenants(tx: Tx) -> list[Tenant]:
    """Every tenant that ever sent a job or has a limit, by name."""
    limits = {row.name: row.max_running for row in tx.execute(_LIMITS)}
    held = _count(tx, _HELD)
    names = set(tx.execute(select(lanes.c.tenant).distinct()).scalars()) | limits.keys()
    return [Tenant(name=name, max_running=limits.get(name), held_jobs=held.get(name, 0)) for name in sorted(names)]


def get_tenant(tx: Tx, name: str) -> Tenant:
    """The tenant with its limit; one that was never heard of has none and holds nothing."""
    limit = tx.execute(_LIMITS.where(tenants.c.name == name)).one_or_none()
    held = _count(tx, _HELD_OF, {"names": [name]})
    return Tenant(name=name, max_running=limit.max_running if limit else None, held_jobs=held.get(name, 0))


def has_limits(tx: Tx) -> bool:
    """Whether any tenant has a limit."""
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
