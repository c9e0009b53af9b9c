"""A small live page: jobs by status, nodes, the latest jobs, the rate. Server-rendered; it refreshes itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from litestar import MediaType, Response, get

from reelmill import __version__
from reelmill.domain.job import QUEUES, STATUSES
from reelmill.master.api.dependency import TheFarm
from reelmill.store.counts import read_counts
from reelmill.store.launches import list_launches
from reelmill.store.listing import JobFilter, count_completed_since, list_jobs
from reelmill.store.nodes import list_nodes
from reelmill.store.protocol import Tx

RATE_SECONDS = 60.0
_LATEST_JOBS = 20
_LATEST_LAUNCHES = 5

_templates = Environment(
    loader=PackageLoader("reelmill.master.web"), autoescape=select_autoescape(default=True), trim_blocks=True
)


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def _read(tx: Tx, now: float) -> dict[str, Any]:
    by_status: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for key, n in read_counts(tx).items():
        by_status[key.status] += n
        if key.status in ("queued", "retrying"):
            waiting[key.queue] += n
    return {
        "statuses": [(status, by_status[status]) for status in STATUSES],
        "queues": [(queue, waiting[queue]) for queue in QUEUES],
        "total": by_status.total(),
        "ended": sum(by_status[status] for status in ("completed", "failed", "canceled", "timed_out")),
        "rate": count_completed_since(tx, now - RATE_SECONDS) / RATE_SECONDS,
        "nodes": list_nodes(tx, now),
        "launches": list_launches(tx, _LATEST_LAUNCHES),
        "jobs": list_jobs(tx, JobFilter(), after=None, limit=_LATEST_JOBS, newest_first=True),
        "running": list_jobs(tx, JobFilter(status=["running"]), after=None, limit=_LATEST_JOBS),
    }


@get("/", include_in_schema=False, media_type=MediaType.HTML)
async def live_page(farm: TheFarm) -> Response[str]:
    """Show the farm to a person."""
    now = farm.clock.now()
    seen = await farm.store.read(lambda tx: _read(tx, now))
    html = _templates.get_template("page.html.j2").render(clock=_clock, now=now, version=__version__, **seen)
    return Response(html, headers={"Cache-Control": "no-store"})
