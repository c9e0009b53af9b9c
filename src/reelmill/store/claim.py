"""Claiming: the best jobs that fit a node's room, in strict order.

Jobs with equal needs wait in one lane. A claim looks only at the heads of the lanes that this kind of node can run, so
jobs that it cannot run, or that are not ready, cost nothing however many are ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import bindparam, select, text

from reelmill.domain.attempt import AttemptKey, Grant, Offer
from reelmill.domain.capability import Needs, can_run, choose_engine, units_on
from reelmill.domain.job import PRIORITIES, Job
from reelmill.domain.lifecycle import Assign
from reelmill.domain.scenario import find_scenario
from reelmill.store.nodes import is_alive, takes_jobs
from reelmill.store.protocol import Tx
from reelmill.store.schema import IS_READY, jobs, lanes
from reelmill.store.transition import Changes, Rules, load_numbers

_LIVE_RANKS = len(PRIORITIES)
"""Ranks below this belong to the live queue."""

PATIENCE_SECONDS = 30.0
"""How long a job may be passed over for want of room before it reserves a node."""


class _Waiting(NamedTuple):
    """A ready job at the head of its lane, in the order of the farm."""

    rank: int
    sequence_number: int
    passed_over_at: float | None
    reserved_node: str | None


class _Lane(NamedTuple):
    id: int
    needs: Needs


_PROMOTE_DUE = text("UPDATE jobs SET ready = :yes WHERE status = 'retrying' AND NOT ready AND eligible_at <= :now")
_HEAD = (
    select(jobs.c.rank, jobs.c.sequence_number, jobs.c.passed_over_at, jobs.c.reserved_node)
    .where(IS_READY, jobs.c.lane_id == bindparam("lane_id"))
    .order_by(jobs.c.rank, jobs.c.sequence_number)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)  # what another master is giving away at this moment is not there
)
_PASSED_OVER = text(
    "UPDATE jobs SET passed_over_at = COALESCE(passed_over_at, :now), reserved_node = :node_id "
    "WHERE sequence_number = :sequence_number"
)
_NEXT_DUE = text("SELECT min(eligible_at) FROM jobs WHERE status = 'retrying' AND NOT ready")
_LANES = select(lanes.c.id, lanes.c.engine, lanes.c.codec, lanes.c.cost)


def claim(tx: Tx, offer: Offer, lease_seconds: float, rules: Rules) -> list[Grant]:
    """Give the node the best jobs that fit its free units; each becomes `assigned` under a lease."""
    tx.execute(_PROMOTE_DUE, {"now": rules.now, "yes": True})
    chosen = _choose(tx, offer, rules.now) if takes_jobs(tx, offer.node_id) else []
    waiting = load_numbers(tx, [sequence_number for sequence_number, _, _ in chosen])
    changes = Changes(waiting)
    assign = Assign(offer.node_id, offer.node_name, rules.now + lease_seconds)
    given = [changes.apply(job.id, assign, rules) for job in waiting]
    changes.write(tx)
    return [
        _grant(job, choose_engine(offer.capabilities, needs), units, lease_seconds)
        for job, (_, needs, units) in zip(given, chosen, strict=True)
    ]


def next_due(tx: Tx) -> float | None:
    """When the next waiting retry becomes eligible, in seconds since the epoch; None when none waits."""
    return tx.execute(_NEXT_DUE).scalar_one_or_none()


def _choose(tx: Tx, offer: Offer, now: float) -> list[tuple[int, Needs, int]]:
    """(sequence number, needs, units) of the jobs to give, in order."""
    free = offer.free_units
    live = offer.live_units
    chosen: list[tuple[int, Needs, int]] = []
    too_big: set[int] = set()
    for waiting, lane in heapq.merge(*_heads(tx, offer)):
        if free <= 0:
            break
        is_live = waiting.rank < _LIVE_RANKS
        units = units_on(offer.capabilities, lane.needs, 0 if is_live else offer.reserve_live)
        kept = 0 if is_live else max(0, offer.reserve_live - live)
        if units <= free - kept:
            chosen.append((waiting.sequence_number, lane.needs, units))
            free -= units
            live += units if is_live else 0
        elif lane.id not in too_big:
            # The rest of its lane is as big, and behind it: smaller jobs may go ahead, unless it has waited too long.
            too_big.add(lane.id)
            if _reserves(tx, waiting, offer, now):
                break
    return chosen


def _heads(tx: Tx, offer: Offer) -> Iterator[Iterator[tuple[_Waiting, _Lane]]]:
    for row in tx.execute(_LANES):
        lane = _Lane(row.id, Needs(row.engine, row.codec, row.cost))
        if can_run(offer.capabilities, lane.needs):
            heads = tx.execute(_HEAD, {"lane_id": lane.id, "most": max(1, offer.free_units)})
            yield iter([(_Waiting(*head), lane) for head in heads])


def _reserves(tx: Tx, waiting: _Waiting, offer: Offer, now: float) -> bool:
    """Note that the job was passed over; True when it has waited so long that this node must be kept for it."""
    since = waiting.passed_over_at
    holder = waiting.reserved_node
    patient = since is None or now - since < PATIENCE_SECONDS
    if not patient and (holder is None or not is_alive(tx, holder, now)):
        holder = offer.node_id
    if since is None or holder != waiting.reserved_node:
        change_to = {"sequence_number": waiting.sequence_number, "now": now, "node_id": holder}
        tx.execute(_PASSED_OVER, change_to)
    return holder == offer.node_id


def _grant(job: Job, engine: str, units: int, lease_seconds: float) -> Grant:
    return Grant(
        key=AttemptKey(job.id, job.attempt),
        scenario=find_scenario(job.scenario),
        engine=engine,
        parameters=job.parameters,
        units=units,
        live=job.queue == "live",
        lease_seconds=lease_seconds,
    )
