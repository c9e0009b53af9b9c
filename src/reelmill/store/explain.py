"""What the store knows of why a job does not run, and which waiting jobs no node can ever run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, text, tuple_
from sqlalchemy.exc import NoResultFound

from reelmill.domain.capability import Needs, can_run, units_on
from reelmill.domain.explanation import (
    MOST_AHEAD,
    Explanation,
    KeptFor,
    LaunchExplanation,
    NodeRoom,
    Surroundings,
    WaitReason,
    explain,
    explain_many,
    find_obstacle,
)
from reelmill.domain.job import Job, order_rank
from reelmill.domain.node import Node
from reelmill.errors import NotFound
from reelmill.store.claim import PATIENCE_SECONDS
from reelmill.store.lanes import Lane, needs_of, read_needs, ready_lanes
from reelmill.store.listing import get_job
from reelmill.store.nodes import list_nodes
from reelmill.store.protocol import Tx
from reelmill.store.schema import IS_HELD, IS_READY, jobs, lanes
from reelmill.store.tenants import get_tenant, room_of_tenants

_HELD_COSTS = (
    select(jobs.c.node_id, jobs.c.queue, jobs.c.status, lanes.c.cost)
    .join(lanes, jobs.c.lane_id == lanes.c.id)
    .where(IS_HELD, jobs.c.winner.is_(None))  # an output that is being published takes no CPU units
)
_AHEAD = select(func.count()).select_from(
    select(jobs.c.sequence_number)
    .where(
        IS_READY,
        jobs.c.lane_id.in_(bindparam("lane_ids", expanding=True)),
        tuple_(jobs.c.rank, jobs.c.sequence_number) < tuple_(bindparam("rank"), bindparam("number")),
    )
    .limit(MOST_AHEAD + 1)
    .subquery()
)
# The first that wait, of the launch alone: in very large ones it is no use to count them all.
_WAITING = text(
    "SELECT w.rank, w.ready, min(w.sequence_number), count(*), l.engine, l.codec, l.cost, l.tenant, l.node_labels "
    "FROM (SELECT rank, ready, sequence_number, lane_id FROM jobs "
    "WHERE launch_id = :launch_id AND status IN ('queued', 'retrying') ORDER BY sequence_number LIMIT :most) w "
    "JOIN lanes l ON l.id = w.lane_id GROUP BY w.lane_id, w.rank, w.ready, l.engine, l.codec, l.cost, l.tenant, "
    "l.node_labels ORDER BY w.rank, 3"
)


def explain_launch(tx: Tx, launch_id: str, now: float) -> LaunchExplanation:
    """Why the waiting jobs of the launch do not run at ``now``: what blocks some, and what the first of the rest says.

    Jobs of one lane share their fate, so only the first of those that a node may run is looked at by itself.
    """
    found = tx.execute(_WAITING, {"launch_id": launch_id, "most": MOST_AHEAD}).all()
    nodes = [node for node in list_nodes(tx, now) if node.status != "offline"]
    blocked: Counter[str] = Counter()
    patient: Counter[bool] = Counter()
    first: dict[bool, int] = {}
    for _, ready, number, count, *needs in found:
        obstacle = find_obstacle(nodes, read_needs(*needs))
        if obstacle is not None:
            blocked[obstacle] += count
        else:
            patient[bool(ready)] += count
            first.setdefault(bool(ready), number)
    waiting = [WaitReason(count, True, reason) for reason, count in blocked.most_common()]
    for ready, number in first.items():
        job = get_job(tx, str(number))
        if job is not None:  # on PostgreSQL another master may have forgotten it meanwhile
            needs, around = _survey(tx, job, now)
            waiting.append(WaitReason(patient[ready], False, explain_many(job, needs, around)))
    return LaunchExplanation(launch_id, sum(row[3] for row in found) < MOST_AHEAD, waiting)


def explain_job(tx: Tx, job: Job, now: float) -> Explanation:
    """Why the job does not run at ``now``; costs the same however many jobs there are. NotFound when it is gone."""
    return explain(job, *_survey(tx, job, now))


def _survey(tx: Tx, job: Job, now: float) -> tuple[Needs, Surroundings]:
    """What the job needs, and what decides whether it runs at ``now``."""
    try:
        needs = needs_of(tx, job.sequence_number)
    except NoResultFound:  # on PostgreSQL each statement sees what others have committed by then
        raise NotFound(f"there is no job {job.id!r} any more") from None
    nodes = [node for node in list_nodes(tx, now) if node.status != "offline"]
    able = [node.capabilities for node in nodes if can_run(node.capabilities, needs)]
    rivals = [lane for lane in ready_lanes(tx) if any(can_run(node, lane.needs) for node in able)]
    rooms = room_of_tenants(tx, {lane.needs.tenant for lane in rivals if lane.has_limit})
    rivals = [lane for lane in rivals if rooms.get(lane.needs.tenant, 1) > 0 or lane.needs.tenant == job.tenant]
    around = Surroundings(
        _look_at(tx, nodes, rivals, job, now), get_tenant(tx, job.tenant), _count_ahead(tx, job, rivals), now
    )
    return needs, around


def _look_at(tx: Tx, nodes: Sequence[Node], rivals: Sequence[Lane], job: Job, now: float) -> list[NodeRoom]:
    """The nodes with what is taken of them, and for which job they are kept, if it comes before this one."""
    by_id = {node.id: node for node in nodes}
    taken: Counter[str] = Counter()
    live: Counter[str] = Counter()
    paused: Counter[str] = Counter()
    for node_id, queue, status, cost in tx.execute(_HELD_COSTS):
        if node_id in by_id:
            units = units_on(by_id[node_id].capabilities, cost, live=queue == "live")
            taken[node_id] += units
            live[node_id] += units if queue == "live" else 0
            paused[node_id] += units if status == "paused" else 0
    kept: dict[str, KeptFor] = {}
    place = (order_rank(job.queue, job.priority), job.sequence_number)
    for head in sorted(lane.head for lane in rivals):
        since, node_id = head.passed_over_at, head.reserved_node
        if since is None or node_id is None or now - since < PATIENCE_SECONDS:
            continue
        if (head.rank, head.sequence_number) <= place:
            kept.setdefault(node_id, KeptFor(head.sequence_number, since))
    return [
        NodeRoom(
            node,
            min(taken[node.id], node.capabilities.units),
            live[node.id],
            min(paused[node.id], node.capabilities.units),
            kept.get(node.id),
        )
        for node in nodes
    ]


def _count_ahead(tx: Tx, job: Job, rivals: Sequence[Lane]) -> int:
    """Ready jobs that come before this one on some node that could run both."""
    if not rivals:
        return 0
    place = {"rank": order_rank(job.queue, job.priority), "number": job.sequence_number}
    return tx.execute(_AHEAD, {"lane_ids": [lane.head.lane_id for lane in rivals], **place}).scalar_one()
