"""What the store knows of why a job does not run."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, tuple_

from reelmill.domain.capability import Capabilities, Needs, can_run, units_on
from reelmill.domain.explanation import MOST_AHEAD, Busy, Explanation, explain
from reelmill.domain.job import ACTIVE, Job, order_rank
from reelmill.store.nodes import list_nodes
from reelmill.store.protocol import Tx
from reelmill.store.schema import IS_READY, jobs, lanes

_NEEDS = (
    select(lanes.c.engine, lanes.c.codec, lanes.c.cost)
    .join(jobs, jobs.c.lane_id == lanes.c.id)
    .where(jobs.c.sequence_number == bindparam("number"))
)
_HELD_COSTS = (
    select(jobs.c.node_id, lanes.c.cost)
    .join(lanes, jobs.c.lane_id == lanes.c.id)
    .where(jobs.c.status.in_(sorted(ACTIVE)), jobs.c.winner.is_(None))
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


def explain_job(tx: Tx, job: Job, now: float) -> Explanation:
    """Why the job does not run at ``now``; costs the same however many jobs there are."""
    needs = Needs(*tx.execute(_NEEDS, {"number": job.sequence_number}).one())
    nodes = [node for node in list_nodes(tx, now) if node.status != "offline"]
    taken: dict[str, int] = {}
    by_id = {node.id: node for node in nodes}
    for node_id, cost in tx.execute(_HELD_COSTS):
        if node_id in by_id:
            units = units_on(by_id[node_id].capabilities, Needs("auto", "", cost))
            taken[node_id] = taken.get(node_id, 0) + units
    able = [node.capabilities for node in nodes if can_run(node.capabilities, needs)]
    busy = [Busy(node, min(taken.get(node.id, 0), node.capabilities.units)) for node in nodes]
    return explain(job, needs, busy, _count_ahead(tx, job, able), now)


def _count_ahead(tx: Tx, job: Job, able: list[Capabilities]) -> int:
    """Ready jobs that come before this one on some node that could run both."""
    rivals = [
        row.id
        for row in tx.execute(select(lanes))
        if any(can_run(node, Needs(row.engine, row.codec, row.cost)) for node in able)
    ]
    if not rivals:
        return 0
    rank = order_rank(job.queue, job.priority)
    return tx.execute(_AHEAD, {"lane_ids": rivals, "rank": rank, "number": job.sequence_number}).scalar_one()
