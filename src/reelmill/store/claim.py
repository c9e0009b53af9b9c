"""Claiming: the best jobs that fit a node's room, in strict order.

Jobs with equal needs wait in one lane. A claim looks only at the heads of the lanes that this kind of node can run and
whose tenant is below its limit, so all other jobs cost nothing however many are ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select, text, update

from reelmill.domain.attempt import AttemptKey, Grant, Offer
from reelmill.domain.capability import EngineChosen, Needs, can_run, choose_engine, units_on
from reelmill.domain.job import PRIORITIES, Job
from reelmill.domain.lifecycle import Assign
from reelmill.domain.scenario import find_scenario
from reelmill.store.bulk import BulkSelect
from reelmill.store.lanes import Lane, Waiting, ready_lanes
from reelmill.store.line import Line
from reelmill.store.nodes import find_closed, is_alive
from reelmill.store.protocol import Tx
from reelmill.store.rows import JOB_FIELDS, job_from_row
from reelmill.store.schema import IS_READY, jobs
from reelmill.store.tenants import room_of_tenants
from reelmill.store.transition import Changes, Rules

_LIVE_RANKS = len(PRIORITIES)
"""Ranks below this belong to the live queue."""

_DUE_AT_ONCE = 1_000

PATIENCE_SECONDS = 30.0
"""How long a job may be passed over for want of room before it reserves a node."""


class _Chosen(NamedTuple):
    """A job to give, what it needs, and the CPU units it takes there."""

    sequence_number: int
    needs: Needs
    units: int


_PROMOTE_DUE = (  # some at a time, so that after a long outage no claim waits for a million of them
    update(jobs)
    .where(
        jobs.c.sequence_number.in_(
            select(jobs.c.sequence_number)
            .where(jobs.c.due_at <= bindparam("now"))
            .order_by(jobs.c.due_at)
            .limit(_DUE_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
    )
    .values(ready=True, due_at=None)
)
_TAKE = BulkSelect(
    f"SELECT {', '.join(JOB_FIELDS)} FROM jobs WHERE ready AND sequence_number IN {{values}}",  # noqa: S608
    "FOR UPDATE SKIP LOCKED",  # what another master is giving away at this moment is not there
)
_PASSED_OVER = (
    update(jobs)
    .where(  # one that another master is giving away is no matter, and nobody waits for it
        jobs.c.sequence_number
        == select(jobs.c.sequence_number)
        .where(jobs.c.sequence_number == bindparam("number"), IS_READY)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(passed_over_at=func.coalesce(jobs.c.passed_over_at, bindparam("since")), reserved_node=bindparam("holder"))
)
_PASSED_OVER_BEHIND = text(
    "SELECT passed_over_at, reserved_node FROM jobs WHERE passed_over_at IS NOT NULL AND lane_id = :lane_id "
    "AND (rank, sequence_number) > (:rank, :number) ORDER BY rank, sequence_number LIMIT 1"
)
_NEXT_DUE = text("SELECT min(due_at) FROM jobs WHERE due_at IS NOT NULL")


def claim(tx: Tx, offer: Offer, lease_seconds: float, rules: Rules) -> list[Grant]:
    """Give the node the best jobs that fit its free units; each becomes `assigned` under a lease."""
    return claim_each(tx, [offer], lease_seconds, rules)[0]


def claim_each(tx: Tx, offers: Sequence[Offer], lease_seconds: float, rules: Rules) -> list[list[Grant]]:
    """As `claim` for one node after the other, but with the statements of one; the grants of each.

    One that comes later has what those before it left: the order between them is exact.
    """
    tx.execute(_PROMOTE_DUE, {"now": rules.now})
    offers = [offer.storable() for offer in offers]
    closed = find_closed(tx, [offer.node_id for offer in offers])
    able = [offer if offer.node_id not in closed else msgspec.structs.replace(offer, free_units=0) for offer in offers]
    chosen, waiting = _choose_and_take(tx, able, rules.now)
    changes = Changes(waiting.values())
    grants: list[list[Grant]] = []
    for offer, some in zip(offers, chosen, strict=True):
        granted: list[Grant] = []
        grants.append(granted)
        place = (offer.node_id, offer.node_name, rules.now + lease_seconds)
        for one in some:
            job = waiting[one.sequence_number]
            engine = choose_engine(offer.capabilities, one.needs, live=job.queue == "live")
            given = changes.apply(job.id, Assign(*place, engine.engine, engine.reason), rules)
            granted.append(_grant(given, engine, one.units, lease_seconds))
    changes.write(tx)
    return grants


def next_due(tx: Tx) -> float | None:
    """When the next waiting retry becomes eligible, in seconds since the epoch; None when none waits."""
    return tx.execute(_NEXT_DUE).scalar_one_or_none()


def _choose_and_take(tx: Tx, offers: Sequence[Offer], now: float) -> tuple[list[list[_Chosen]], dict[int, Job]]:
    """The best jobs for each node, and all of them, locked, by their sequence numbers.

    When another master is giving one of them away, the choice is made anew without it, and nothing stays locked that is
    not given: so a claim leaves out only what another is giving away at that moment.
    """
    lost: set[int] = set()
    while True:
        chosen = _choose_each(tx, offers, lost, now)
        numbers = [one.sequence_number for some in chosen for one in some]
        if not numbers:
            return chosen, {}
        tx.exec_driver_sql("SAVEPOINT taken")
        waiting = {job.sequence_number: job for job in map(job_from_row, _TAKE.run(tx, numbers))}
        if len(waiting) < len(numbers):
            tx.exec_driver_sql("ROLLBACK TO taken")
        tx.exec_driver_sql("RELEASE taken")
        if len(waiting) == len(numbers):
            return chosen, waiting
        lost |= set(numbers) - waiting.keys()


def _choose_each(tx: Tx, offers: Sequence[Offer], lost: AbstractSet[int], now: float) -> list[list[_Chosen]]:
    """The jobs to give to each, without those that are ``lost`` to another master."""
    lanes = ready_lanes(tx) if any(offer.free_units > 0 for offer in offers) else []
    able = [lanes if offer.free_units > 0 else [] for offer in offers]
    fitting = [
        [one.head.lane_id for one in some if can_run(offer.capabilities, one.needs)]
        for offer, some in zip(offers, able, strict=True)
    ]
    wanted = {lane_id for some in fitting for lane_id in some}
    lanes = [lane for lane in lanes if lane.head.lane_id in wanted]
    rooms = room_of_tenants(tx, {lane.needs.tenant for lane in lanes if lane.has_limit}, lock=True)
    choice = _Choice(tx, lanes, Line(tx, lanes, lost), rooms, now)
    return [choice.choose(offer, lane_ids) for offer, lane_ids in zip(offers, fitting, strict=True)]


class _Choice:
    """One choice after the other among the jobs of ``lanes``; ``rooms``: how many more each limited tenant may have."""

    def __init__(self, tx: Tx, lanes: Sequence[Lane], line: Line, rooms: Mapping[str, int], now: float) -> None:
        self._tx = tx
        self._needs = {lane.head.lane_id: lane.needs for lane in lanes}
        self._line = line
        self._rooms = dict(rooms)
        self._now = now

    def choose(self, offer: Offer, lane_ids: Sequence[int]) -> list[_Chosen]:
        """The jobs to give to that node, in order, out of the lanes that fit it."""
        free, live = offer.free_units, offer.live_units
        if free <= 0:
            return []
        heads = self._line.heads([lane_id for lane_id in lane_ids if self._has_room(self._needs[lane_id])], free)
        chosen: list[_Chosen] = []
        while free > 0 and heads:
            waiting = heapq.heappop(heads)
            wanted = self._needs[waiting.lane_id]
            if not self._has_room(wanted):
                continue
            is_live = waiting.rank < _LIVE_RANKS
            units = units_on(offer.capabilities, wanted.cost, live=is_live)
            kept = 0 if is_live else max(0, offer.reserve_live - live)
            if units <= free - kept:
                chosen.append(_Chosen(waiting.sequence_number, wanted, units))
                free -= units
                live += units if is_live else 0
                if wanted.tenant in self._rooms:
                    self._rooms[wanted.tenant] -= 1
                self._line.take(waiting)
                if free > 0:
                    self._line.follow(heads, waiting.lane_id, free)
            # The rest of its lane is as big, and behind it: smaller jobs may go ahead, unless it has waited too long.
            elif self._reserves(waiting, offer):
                break
        return chosen

    def _has_room(self, needs: Needs) -> bool:
        return self._rooms.get(needs.tenant, 1) > 0

    def _reserves(self, waiting: Waiting, offer: Offer) -> bool:
        """Note that the job was passed over; True when it has waited so long that this node must be kept for it.

        A job that came ahead of one with equal needs takes over how long that has waited, and its node.
        """
        since, holder = waiting.passed_over_at, waiting.reserved_node
        if since is None:
            place = {"lane_id": waiting.lane_id, "rank": waiting.rank, "number": waiting.sequence_number}
            behind = self._tx.execute(_PASSED_OVER_BEHIND, place).first()
            since, holder = (self._now, None) if behind is None else behind
        waited = self._now - since >= PATIENCE_SECONDS
        if waited and (holder is None or not is_alive(self._tx, holder, self._now)):
            holder = offer.node_id
        if waiting.passed_over_at is None or holder != waiting.reserved_node:
            self._tx.execute(_PASSED_OVER, {"number": waiting.sequence_number, "since": since, "holder": holder})
            self._line.note_passed_over(waiting, since, holder)
        return holder == offer.node_id


def _grant(job: Job, engine: EngineChosen, units: int, lease_seconds: float) -> Grant:
    return Grant(
        key=AttemptKey(job.id, job.attempt),
        scenario=job.definition or find_scenario(job.scenario),
        engine=engine.engine,
        other_engines=engine.others,
        parameters=job.parameters,
        units=units,
        live=job.queue == "live",
        lease_seconds=lease_seconds,
        chunk_plan=job.chunk_plan,
    )
