"""A small live page: jobs by status, nodes, the latest jobs, the rate. Server-rendered; it refreshes itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from litestar import HttpMethod, MediaType, Response, route

from reelmill import __version__
from reelmill.domain.explanation import Outlook
from reelmill.domain.job import STATUSES, TERMINAL, Job
from reelmill.domain.node import Node
from reelmill.master.api.dependency import TheFarm
from reelmill.store.counts import read_counts
from reelmill.store.launches import list_launches
from reelmill.store.listing import JobFilter, count_completed_since, list_jobs
from reelmill.store.nodes import list_nodes
from reelmill.store.protocol import Tx
from reelmill.store.room import full_queues, waiting_by_queue

RATE_SECONDS = 60.0
GONE_SECONDS = 3600.0
"""A node that was last heard of longer ago is only counted."""

_LATEST_JOBS = 20
_LATEST_LAUNCHES = 5
_LONGEST_FILE = 28
_UUID_END = 8

_templates = Environment(
    loader=PackageLoader("reelmill.master.web"), autoescape=select_autoescape(default=True), trim_blocks=True
)


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def file_path(job: Job) -> str:
    """The input of the job, or its output when it is synthetic."""
    parameters = job.parameters.shown()
    return parameters.input or parameters.output or (job.result.output if job.result else "")


def file_name(job: Job) -> str:
    """The end of that path: what tells names apart that a program has numbered."""
    name = PurePosixPath(file_path(job)).name
    if name.startswith(job.id):
        return "…" + name[len(job.id) - _UUID_END :]
    return name if len(name) <= _LONGEST_FILE else "…" + name[1 - _LONGEST_FILE :]


def _is_gone(node: Node, now: float) -> bool:
    return node.status == "offline" and node.last_seen < now - GONE_SECONDS


def _read(tx: Tx, now: float, max_queued: int | None) -> dict[str, Any]:
    by_status: Counter[str] = Counter()
    counts = read_counts(tx)
    for key, n in counts.items():
        by_status[key.status] += n
    nodes = list_nodes(tx, now)
    present = [node for node in nodes if not _is_gone(node, now)]
    return {
        "statuses": [(status, by_status[status]) for status in STATUSES],
        "queues": waiting_by_queue(counts).items(),
        "full": full_queues(counts, max_queued),
        "total": by_status.total(),
        "ended": sum(by_status[status] for status in TERMINAL),
        "rate": count_completed_since(tx, now - RATE_SECONDS) / RATE_SECONDS,
        "nodes": present,
        "outlook": Outlook([node.capabilities for node in nodes if node.status != "offline"]),
        "gone": len(nodes) - len(present),
        "launches": list_launches(tx, _LATEST_LAUNCHES),
        "jobs": list_jobs(tx, JobFilter(), after=None, limit=_LATEST_JOBS, newest_first=True),
        "running": list_jobs(tx, JobFilter(status=["running"]), after=None, limit=_LATEST_JOBS),
    }


@route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False, media_type=MediaType.HTML)
async def live_page(farm: TheFarm) -> Response[str]:
    """Show the farm to a person."""
    now = farm.clock.now()
    seen = await farm.store.read(lambda tx: _read(tx, now, farm.max_queued))
    html = _templates.get_template("page.html.j2").render(
        clock=_clock, file_path=file_path, file_name=file_name, now=now, version=__version__, **seen
    )
    return Response(html, headers={"Cache-Control": "no-store"})
