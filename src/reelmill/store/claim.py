"""Claiming: the best jobs that fit a node's room, in strict order.

Jobs with equal needs wait in one lane. A claim looks only at the heads of the lanes that this kind of node can run and
whose tenant is below its limit, so all other jobs cost nothing however many are ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, text, update

from reelmill.domain.attempt import AttemptKey, Grant, Offer
from reelmill.domain.capability import Needs, can_run, choose_engine, units_on
from reelmill.domain.job import PRIORITIES, Job
from reelmill.domain.lifecycle import Assign
from reelmill.domain.scenario import find_scenario
from reelmill.store.bulk import BulkSelect
from reelmill.store.lanes import Lane, Waiting, read_lanes, ready_lanes
from reelmill.store.nodes import is_alive, takes_jobs
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
    if offer.free_units <= 0:
        return []
    tx.execute(_PROMOTE_DUE, {"now": rules.now})
    if not takes_jobs(tx, offer.node_id):
        return []
    chosen, waiting = _choose_and_take(tx, offer, rules.now)
    changes = Changes(waiting)
    assign = Assign(offer.node_id, offer.node_name, rules.now + lease_seconds)
    given = [changes.apply(job.id, assign, rules) for job in waiting]
    changes.write(tx)
    return [
        _grant(job, choose_engine(offer.capabilities, one.needs), one.units, lease_seconds)
        for job, one in zip(given, chosen, strict=True)
    ]


def next_due(tx: Tx) -> float | None:
    """When the next waiting retry becomes eligible, in seconds since the epoch; None when none waits."""
    return tx.execute(_NEXT_DUE).scalar_one_or_none()


def _choose_and_take(tx: Tx, offer: Offer, now: float) -> tuple[list[_Chosen], list[Job]]:
    """The best jobs for the node, locked.

    When another master is giving one of them away, the choice is made anew without it, and nothing stays locked that is
    not given: so a claim leaves out only what another is giving away at that moment.
    """
    lost: set[int] = set()
    while True:
        lanes = [lane for lane in ready_lanes(tx) if can_run(offer.capabilities, lane.needs)]
        rooms = room_of_tenants(tx, {lane.needs.tenant for lane in lanes if lane.has_limit}, lock=True)
        lanes = [lane for lane in lanes if rooms.get(lane.needs.tenant, 1) > 0]
        line = _Line(tx, lanes, lost)
        chosen = _choose(tx, offer, line, rooms, now)
        tx.exec_driver_sql("SAVEPOINT taken")
        waiting = _take(tx, chosen)
        if len(waiting) < len(chosen):
            tx.exec_driver_sql("ROLLBACK TO taken")
        tx.exec_driver_sql("RELEASE taken")
        if len(waiting) == len(chosen):
            return chosen, waiting
        lost |= {one.sequence_number for one in chosen} - {job.sequence_number for job in waiting}


def _take(tx: Tx, chosen: Sequence[_Chosen]) -> list[Job]:
    """The chosen jobs, locked, in that order; without those that another master is giving away."""
    numbers = [one.sequence_number for one in chosen]
    found = {job.sequence_number: job for job in map(job_from_row, _TAKE.run(tx, numbers))}
    return [found[number] for number in numbers if number in found]


class _Line:
    """The ready jobs of some lanes in the order of the farm; what stands behind a head is read when it is needed."""

    def __init__(self, tx: Tx, lanes: Sequence[Lane], lost: AbstractSet[int]) -> None:
        """Without the jobs that are ``lost``, by their sequence numbers."""
        self._tx = tx
        self._lost = lost
        self._behind: dict[int, list[Waiting]] = {}
        self._heads = [lane.head for lane in lanes]
        heapq.heapify(self._heads)
        self.needs = {lane.head.lane_id: lane.needs for lane in lanes}

    def pop(self, most: int) -> Waiting | None:
        """The first of all heads, of ``most`` that may be needed; its lane is gone with it unless it moves up."""
        while self._heads:
            first = heapq.heappop(self._heads)
            if first.sequence_number not in self._lost:
                return first
            self.move_up(first, most)
        return None

    def move_up(self, first: Waiting, most: int) -> None:
        """Let the lane of ``first`` come again with what stands behind it; ``most`` jobs are needed from now on."""
        if first.lane_id not in self._behind:
            soon = [head.lane_id for head in heapq.nsmallest(most, self._heads) if head.lane_id not in self._behind]
            self._behind |= {lane_id: [] for lane_id in (first.lane_id, *soon)}
            for waiting in read_lanes(self._tx, [first.lane_id, *soon], most + len(self._lost) + 1):
                self._behind[waiting.lane_id].append(waiting)
        behind = self._behind[first.lane_id]
        while behind and behind[0][:2] <= first[:2]:  # in order; that it was passed over may be news
            del behind[0]
        if behind:
            heapq.heappush(self._heads, behind.pop(0))


def _choose(tx: Tx, offer: Offer, line: _Line, rooms: Mapping[str, int], now: float) -> list[_Chosen]:
    """The jobs to give, in order; ``rooms`` is how many more of each tenant that has a limit may be given away."""
    free, live = offer.free_units, offer.live_units
    left = dict(rooms)
    chosen: list[_Chosen] = []
    while free > 0 and (waiting := line.pop(free)) is not None:
        wanted = line.needs[waiting.lane_id]
        if left.get(wanted.tenant, 1) <= 0:
            continue
        is_live = waiting.rank < _LIVE_RANKS
        units = units_on(offer.capabilities, wanted.cost, live=is_live)
        kept = 0 if is_live else max(0, offer.reserve_live - live)
        if units <= free - kept:
            chosen.append(_Chosen(waiting.sequence_number, wanted, units))
            free -= units
            live += units if is_live else 0
            if wanted.tenant in left:
                left[wanted.tenant] -= 1
            if free > 0:
                line.move_up(waiting, free)
        # The rest of its lane is as big, and behind it: smaller jobs may go ahead, unless it has waited too long.
        elif _reserves(tx, waiting, offer, now):
            break
    return chosen


def _reserves(tx: Tx, waiting: Waiting, offer: Offer, now: float) -> bool:
    """Note that the job was passed over; True when it has waited so long that this node must be kept for it.

    A job that came ahead of one with equal needs takes over how long that has waited, and its node.
    """
    since, holder = waiting.passed_over_at, waiting.reserved_node
    if since is None:
        place = {"lane_id": waiting.lane_id, "rank": waiting.rank, "number": waiting.sequence_number}
        behind = tx.execute(_PASSED_OVER_BEHIND, place).first()
        since, holder = (now, None) if behind is None else behind
    if now - since >= PATIENCE_SECONDS and (holder is None or not is_alive(tx, holder, now)):
        holder = offer.node_id
    if waiting.passed_over_at is None or holder != waiting.reserved_node:
        tx.execute(_PASSED_OVER, {"number": waiting.sequence_number, "since": since, "holder": holder})
    return holder == offer.node_id


def _grant(job: Job, engine: str, units: int, lease_seconds: float) -> Grant:
    return Grant(
        key=AttemptKey(job.id, job.attempt),
        scenario=job.definition or find_scenario(job.scenario),
        engine=engine,
        parameters=job.parameters,
        units=units,
        live=job.queue == "live",
        lease_seconds=lease_seconds,
        chunk_plan=job.chunk_plan,
    )
