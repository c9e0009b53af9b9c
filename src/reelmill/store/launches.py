"""Launches: sets of jobs that were submitted together."""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, delete, func, select

from reelmill.store.counts import read_launch_counts
from reelmill.store.protocol import Tx
from reelmill.store.schema import jobs, launches


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """A launch and its jobs by status. ``created_at`` in seconds since the epoch."""

    id: str
    name: str | None
    created_at: float
    counts: dict[str, int]


class Spread(msgspec.Struct, frozen=True):
    """How a value is spread over jobs: how many had it, its median, 95th and 99th percentile, and its largest."""

    n: int
    p50: float
    p95: float
    p99: float
    most: float


class LaunchTimings(msgspec.Struct, frozen=True, kw_only=True):
    """When the jobs of a launch ran. Times in seconds since the epoch, durations in seconds; None where unknown."""

    first_started_at: float | None
    last_completed_at: float | None
    queue_wait: Spread | None
    run_time: Spread | None
    speed: Spread | None


def get_launch(tx: Tx, launch_id: str) -> Launch | None:
    """The launch of that id."""
    if "\0" in launch_id:  # PostgreSQL would refuse the whole query
        return None
    found = _launches(tx, launches.c.id == launch_id, 1)
    return found[0] if found else None


def list_launches(tx: Tx, limit: int) -> list[Launch]:
    """The latest launches, newest first."""
    return _launches(tx, launches.c.id.is_not(None), limit)


def _launches(tx: Tx, which: ColumnElement[bool], limit: int) -> list[Launch]:
    rows = tx.execute(select(launches).where(which).order_by(launches.c.created_at.desc()).limit(limit)).all()
    by_status = read_launch_counts(tx, [row.id for row in rows])
    return [Launch(id=row.id, name=row.name, created_at=row.created_at, counts=by_status[row.id]) for row in rows]


def take_back_launch(tx: Tx, launch_id: str) -> None:
    """Forget a launch that this very transaction made, and that got no jobs."""
    tx.execute(delete(launches).where(launches.c.id == launch_id))


def launch_timings(tx: Tx, launch_id: str) -> LaunchTimings:
    """How long the jobs of the launch waited and ran, and how fast they were; cost grows with the launch."""
    mine = jobs.c.launch_id == launch_id
    completed = mine & (jobs.c.status == "completed")
    span = tx.execute(select(func.min(jobs.c.started_at), func.max(jobs.c.completed_at)).where(mine)).one()
    return LaunchTimings(
        first_started_at=span[0],
        last_completed_at=span[1],
        queue_wait=_spread(tx, jobs.c.started_at - jobs.c.created_at, mine),
        run_time=_spread(tx, jobs.c.completed_at - jobs.c.started_at, completed),
        speed=_spread(tx, jobs.c.speed, completed),
    )


def _spread(tx: Tx, value: ColumnElement[float], which: ColumnElement[bool]) -> Spread | None:
    values = list(tx.execute(select(value).where(which, value.is_not(None)).order_by(value)).scalars())
    if not values:
        return None
    at = [values[min(len(values) - 1, int(len(values) * share))] for share in (0.5, 0.95, 0.99)]
    return Spread(len(values), *at, most=values[-1])
