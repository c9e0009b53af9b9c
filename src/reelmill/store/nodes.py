"""Nodes: who is there, what they can run, and who has gone."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, bindparam, delete, func, insert, select, text, update

from reelmill.domain.capability import Capabilities
from reelmill.domain.node import Node, NodeInfo
from reelmill.store.bulk import BulkSelect, BulkStatement
from reelmill.store.doorbell import announce_work
from reelmill.store.protocol import Tx
from reelmill.store.rows import chunks
from reelmill.store.schema import IS_HELD, jobs, nodes

PRESENT_SECONDS = 30.0
"""A node that was not heard of for this long counts as offline."""

_capabilities = msgspec.json.Decoder(Capabilities)
_RUNNING = select(func.count()).where(jobs.c.node_id == nodes.c.id, IS_HELD).correlate(nodes).scalar_subquery()


_IS_CLOSED = "(draining OR stopping_at IS NOT NULL OR left_at IS NOT NULL)"
_KNOWN = BulkSelect("SELECT id FROM nodes WHERE id IN {values}", "")
_NAMED = BulkSelect("SELECT id, last_seen, left_at FROM nodes WHERE name IN {values}", "")
_SEEN = BulkStatement(  # a node that stops goes on to: what says otherwise is an older word that came late
    "UPDATE nodes SET last_seen = new.seen_at, left_at = NULL, trouble = new.why, "
    "stopping_at = coalesce(new.stopping, nodes.stopping_at) FROM {new} WHERE nodes.id = new.node",
    {
        "node": nodes.c.id.type,
        "seen_at": nodes.c.last_seen.type,
        "why": nodes.c.trouble.type,
        "stopping": nodes.c.stopping_at.type,
    },
)
_CLOSED_OF = BulkSelect(f"SELECT id FROM nodes WHERE id IN {{values}} AND {_IS_CLOSED}", "")  # noqa: S608 (words of our own)
_ALIVE = select(nodes.c.id).where(
    nodes.c.id == bindparam("node"),
    nodes.c.last_seen > bindparam("heard_since"),
    text(f"NOT {_IS_CLOSED}"),
    nodes.c.trouble.is_(None),
)


def note_nodes(tx: Tx, found: Sequence[NodeInfo], now: float) -> None:
    """Remember that the nodes are there; none of them twice."""
    known = {row[0] for row in _KNOWN.run(tx, [node.id for node in found])}
    seen = sorted((node for node in found if node.id in known), key=attrgetter("id"))  # all masters lock in one order
    _SEEN.run(tx, [(node.id, now, node.trouble, now if node.stopping else None) for node in seen])
    _add_nodes(tx, [node for node in found if node.id not in known], now)


def _add_nodes(tx: Tx, new: Sequence[NodeInfo], now: float) -> None:
    if not new:
        return
    earlier = _NAMED.run(tx, [node.name for node in new])  # processes of the same machines
    gone = [node_id for node_id, seen, left in earlier if left is not None or seen < now - PRESENT_SECONDS]
    for some in chunks(gone):
        tx.execute(delete(nodes).where(nodes.c.id.in_(some)))
    tx.execute(insert(nodes), [_row_of(node, now) for node in new])


def _row_of(node: NodeInfo, now: float) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "capabilities": msgspec.json.encode(node.capabilities).decode(),
        "version": node.version,
        "started_at": node.started_at,
        "last_seen": now,
        "draining": False,
        "stopping_at": now if node.stopping else None,
        "trouble": node.trouble,
    }


def find_closed(tx: Tx, node_ids: Sequence[str]) -> set[str]:
    """Those of the nodes that may be given no jobs: they are drained, or going, or gone. A node not known yet may."""
    return {row[0] for row in _CLOSED_OF.run(tx, node_ids)}


def last_sign(tx: Tx, node_id: str) -> float | None:
    """When the node gave its last sign of life; None when it is unknown, or has left."""
    return tx.execute(select(nodes.c.last_seen).where(nodes.c.id == node_id, nodes.c.left_at.is_(None))).scalar()


def note_departure(tx: Tx, node_id: str, now: float) -> None:
    """Remember that the node said goodbye."""
    tx.execute(update(nodes).where(nodes.c.id == node_id).values(left_at=now, last_seen=now))


def is_alive(tx: Tx, node_id: str, now: float) -> bool:
    """Whether the node was heard of lately and takes jobs."""
    return tx.execute(_ALIVE, {"node": node_id, "heard_since": now - PRESENT_SECONDS}).first() is not None


def note_all_departures(tx: Tx, now: float) -> None:
    """Remember that no worker is left."""
    tx.execute(update(nodes).where(nodes.c.left_at.is_(None)).values(left_at=now))


def list_nodes(tx: Tx, now: float) -> list[Node]:
    """Every node that is remembered, the online ones first, then by name."""
    rows = tx.execute(select(nodes, _RUNNING.label("running_jobs")))
    found = [
        Node(
            id=row.id,
            name=row.name,
            status=_status(row, now),
            capabilities=_capabilities.decode(row.capabilities),
            version=row.version,
            running_jobs=row.running_jobs,
            started_at=row.started_at,
            last_seen=row.last_seen,
            trouble=row.trouble,
        )
        for row in rows
    ]
    return sorted(found, key=lambda node: (node.status == "offline", node.name, -node.started_at))


def count_nodes(tx: Tx, heard_since: float) -> int:
    """How many nodes have given a sign of life since then, and have not left."""
    return tx.execute(select(func.count()).where(*_is_present(heard_since))).scalar_one()


def present_capabilities(tx: Tx, now: float) -> list[Capabilities]:
    """What the nodes that are not offline can run; equal ones once."""
    query = select(nodes.c.capabilities).where(*_is_present(now - PRESENT_SECONDS)).distinct()
    return [_capabilities.decode(text) for text in tx.execute(query).scalars()]


def _is_present(heard_since: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return nodes.c.left_at.is_(None), nodes.c.last_seen >= heard_since


def _status(row: Row[Any], now: float) -> str:
    if row.left_at is not None or now - row.last_seen > PRESENT_SECONDS:
        return "offline"
    if row.stopping_at is not None:
        return "stopping"
    return "draining" if row.draining else "online"


def set_draining(tx: Tx, node_id: str, draining: bool) -> bool:
    """Let the node take no new jobs, or take them again; False when it is not known."""
    if not draining:
        announce_work(tx)
    return tx.execute(update(nodes).where(nodes.c.id == node_id).values(draining=draining)).rowcount == 1


def forget_node(tx: Tx, node_id: str) -> bool:
    """Drop a node from the list; False when it is not known. A live one comes back with its next beat."""
    return tx.execute(delete(nodes).where(nodes.c.id == node_id)).rowcount == 1


def forget_gone(tx: Tx, before: float) -> int:
    """Drop the nodes that were last heard of before that time; how many."""
    return tx.execute(delete(nodes).where(nodes.c.last_seen < before)).rowcount
