"""Whether a claim kept the order (P10), judged within its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from reelmill.domain.attempt import Grant
from reelmill.domain.capability import Capabilities, Needs, can_run, units_on
from reelmill.domain.scenario import find_scenario
from reelmill.store.protocol import Tx

_JOBS = "SELECT id, rank, sequence_number, scenario, engine, queue, node_id, ready FROM jobs WHERE ready OR id IN "


class _Standing(NamedTuple):
    place: tuple[int, int]
    needs: Needs
    is_live: bool
    node_id: str | None
    is_ready: bool


def disorder(tx: Tx, answers: object, nodes: Mapping[str, Capabilities]) -> list[str]:
    """A sentence for each job that was given although one before it, which would have fitted as well, was not.

    ``answers`` are the grants of some claims; ``nodes`` what those who claimed can run, by node id.
    """
    given = [[grant.key.job_id for grant in grants] for grants in cast("list[list[Grant]]", answers) if grants]
    if not given:
        return []
    ids = [job_id for some in given for job_id in some]
    rows = tx.exec_driver_sql(f"{_JOBS} ({', '.join('?' for _ in ids)})", tuple(ids)).all()
    jobs = {row.id: _stand(row) for row in rows}
    waiting = [job for job in jobs.values() if job.is_ready]
    found: list[str] = []
    for some in given:
        places = [jobs[job_id].place for job_id in some]
        if places != sorted(places):
            found.append(f"the jobs of one claim were given in the order {places}")
        for job_id in some:
            job = jobs[job_id]
            node = nodes[job.node_id or ""]
            room = units_on(node, job.needs.cost, live=job.is_live)
            found += [
                f"job {job.place} was given before {other.place}"
                for other in waiting
                if other.place < job.place
                and can_run(node, other.needs)
                and units_on(node, other.needs.cost, live=other.is_live) <= room
            ]
    return found


def _stand(row: Any) -> _Standing:
    scenario = find_scenario(row.scenario)
    needs = Needs(row.engine, scenario.codec, scenario.cost)
    return _Standing((row.rank, row.sequence_number), needs, row.queue == "live", row.node_id, bool(row.ready))
