"""Why a job does not run: one sentence for the job, and one for each node."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from reelmill.domain import thumbnails
from reelmill.domain.capability import Capabilities, Needs, can_run, encoder_named, encodes, scheme_read, units_on
from reelmill.domain.job import TERMINAL, Job
from reelmill.domain.lifecycle import describe
from reelmill.domain.node import Node
from reelmill.domain.scenario import LADDER, OPTIONS, Scenario, find_scenario
from reelmill.domain.tenant import Tenant

_WAITING = ("queued", "retrying")

MOST_AHEAD = 10_000
"""Jobs before this one are counted no further."""


class NodeReason(msgspec.Struct, frozen=True):
    """Why the job does not run on this node; ``able`` when it only has to wait there."""

    node_name: str
    able: bool
    reason: str


class Explanation(msgspec.Struct, frozen=True):
    """Why the job is not running. ``ahead`` is how many ready jobs come before it on nodes like those it can run on.

    Of a job that a node holds, or that has ended, there is nothing to say of the nodes.
    """

    job_id: str
    status: str
    summary: str
    ahead: int
    nodes: list[NodeReason]


class WaitReason(msgspec.Struct, frozen=True):
    """Why so many jobs of a launch wait. ``blocked`` when they do until somebody adds a node or opens one."""

    jobs: int
    blocked: bool
    reason: str


class LaunchExplanation(msgspec.Struct, frozen=True):
    """Why the waiting jobs of a launch do; of very many, only the first are looked at, and ``is_all`` is false."""

    launch_id: str
    is_all: bool
    waiting: list[WaitReason]


class KeptFor(NamedTuple):
    """The job for which a node is kept, and since when it was passed over (seconds since the epoch)."""

    sequence_number: int
    since: float


class NodeRoom(NamedTuple):
    """A node, how many of its CPU units are taken, how many by live and by paused jobs, and the job it is kept for."""

    node: Node
    units: int
    live_units: int
    paused_units: int
    kept_for: KeptFor | None = None


class Surroundings(NamedTuple):
    """What decides whether a job runs at ``now``: the nodes that are not offline, its tenant, and what goes before."""

    nodes: Sequence[NodeRoom]
    tenant: Tenant
    ahead: int
    now: float


def explain(job: Job, needs: Needs, around: Surroundings) -> Explanation:
    """Why the job does not run."""
    if job.is_held or job.status in TERMINAL:
        return Explanation(job.id, job.status, _describe_past_waiting(job), 0, [])
    waits = _wait_of_its_own(job, around)
    reasons = [NodeReason(room.node.name, *_judge(job, needs, room, waits, around)) for room in around.nodes]
    return Explanation(job.id, job.status, _summarise(job, needs, waits, around), around.ahead, reasons)


def find_obstacle(nodes: Sequence[Node], needs: Needs) -> str | None:
    """Why none of these nodes, all that are not offline, gives such jobs any hope; None when one does."""
    if not nodes:
        return "no node is online"
    able = [node for node in nodes if can_run(node.capabilities, needs)]
    if not able:
        return f"no node has {_lack([node.capabilities for node in nodes], needs)}"
    return _describe_closed(able, "them") if all(node.obstacle is not None for node in able) else None


def explain_many(first: Job, needs: Needs, around: Surroundings) -> str:
    """Why jobs like ``first``, which goes before the others, do not run though some node may run them."""
    waits = _wait_of_its_own(first, around)
    if waits is not None:
        return waits
    able = [room for room in around.nodes if can_run(room.node.capabilities, needs) and room.node.obstacle is None]
    if len(able) == 1:
        reason = _judge(first, needs, able[0], None, around._replace(ahead=0))[1]
    else:
        taken, units = sum(room.units for room in able), sum(room.node.capabilities.units for room in able)
        reason = f"busy: {taken:,} of {units:,} units of {len(able):,} nodes"
    return f"{_count(around.ahead)} before them; {reason}" if around.ahead else reason


def find_block(nodes: Sequence[Capabilities], needs: Needs) -> str | None:
    """Why none of these nodes, all that are online, can ever run such a job; None when one can."""
    if not nodes:
        return "no node is online"
    if any(can_run(node, needs) for node in nodes):
        return None
    return f"no node of this farm can run it: it needs {_lack(nodes, needs)}"


class Outlook:
    """Says of waiting jobs whether the nodes that are online can ever run them; it judges equal needs once."""

    def __init__(self, nodes: Sequence[Capabilities]) -> None:
        self._nodes = nodes
        self._judged: dict[tuple[str, str, tuple[tuple[str, str], ...], Scenario | None], str | None] = {}

    def block(self, job: Job) -> str | None:
        """Why no node that is online can ever run the job; None when one can, or the job does not wait for one."""
        return self.block_of(job.status, job.engine, job.scenario, tuple(job.node_labels.items()), job.definition)

    def block_of(
        self,
        status: str,
        engine: str,
        scenario: str,
        node_labels: tuple[tuple[str, str], ...],
        definition: Scenario | None,
    ) -> str | None:
        """The same of a job of which only this is known."""
        if status not in _WAITING:
            return None
        key = (engine, scenario, node_labels, definition)
        if key not in self._judged:
            found = definition or find_scenario(scenario)
            encoder = found.encoder_needed(found.usual_container)
            self._judged[key] = find_block(self._nodes, Needs(engine, encoder, found.cost, node_labels=node_labels))
        return self._judged[key]


def _describe_past_waiting(job: Job) -> str:
    if job.status in TERMINAL:
        return f"the job has ended: {job.status}" + (f" ({job.error})" if job.error else "")
    if job.status == "paused":
        return f"the job is paused on {job.node_name}, where its engine stands still; {_RESUME}"
    return f"the job is {describe(job)} on {job.node_name}"


_RESUME = "`reelmill jobs resume` lets it go on"


def _wait_of_its_own(job: Job, around: Surroundings) -> str | None:
    """What the job waits for whatever the nodes do."""
    if job.status == "paused":
        return f"the job is paused; {_RESUME}"
    if job.chunks_left:
        return f"waits for {job.chunks_left} of its {job.chunks} chunks; `reelmill jobs list --parent` shows them"
    if job.status == "retrying" and job.eligible_at is not None and job.eligible_at > around.now:
        when = f"{datetime.fromtimestamp(job.eligible_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        why = f"; {job.error}" if job.error else ""
        return f"waits for its retry at {when} (in {job.eligible_at - around.now:.0f} s{why})"
    tenant = around.tenant
    if tenant.max_running is not None and tenant.is_at_limit:
        jobs = "job" if tenant.max_running == 1 else "jobs"
        return f"tenant {tenant.name} is at its limit: {tenant.held_jobs} of {tenant.max_running} {jobs} running"
    return None


def _summarise(job: Job, needs: Needs, waits: str | None, around: Surroundings) -> str:
    if job.status == "paused" and waits is not None:
        return waits
    blocked = find_block([room.node.capabilities for room in around.nodes], needs)
    if blocked is not None or waits is not None:
        return "; ".join(reason for reason in (waits, blocked) if reason is not None)
    able = [room for room in around.nodes if can_run(room.node.capabilities, needs)]
    if all(room.node.obstacle is not None for room in able):
        return _describe_closed([room.node for room in able], "it")
    if around.ahead:
        return f"waits for room: {_count(around.ahead)} before it"
    kept = [room.node.name for room in able if _is_kept_for(room, job)]
    return "waits for room: it is the next one" + (f", and {', '.join(kept)} is kept for it" if kept else "")


def _describe_closed(nodes: Sequence[Node], what: str) -> str:
    """Of nodes that could run ``what`` but take no jobs: how one takes some again."""
    troubled = [f"{node.name} {node.obstacle}" for node in nodes if node.status == "online"]
    if troubled:
        return f"every node that can run {what} takes no jobs now; {'; '.join(troubled)}"
    drained = ", ".join(node.name for node in nodes if node.status == "draining")
    advice = f"`reelmill nodes resume` lets one take jobs again ({drained})" if drained else "start a worker again"
    return f"every node that can run {what} is {' or '.join(sorted({node.status for node in nodes}))}; {advice}"


def _judge(job: Job, needs: Needs, room: NodeRoom, waits: str | None, around: Surroundings) -> tuple[bool, str]:
    capabilities = room.node.capabilities
    if not can_run(capabilities, needs):
        return False, f"needs {_lack([capabilities], needs)}"
    if room.node.obstacle is not None:
        return False, room.node.obstacle
    if waits is not None:
        return True, waits
    if room.kept_for is not None and not _is_kept_for(room, job):
        seconds = around.now - room.kept_for.since
        return True, f"is kept for job {room.kept_for.sequence_number} (passed over for {seconds:.0f} s)"
    live = job.queue == "live"
    wanted = units_on(capabilities, needs.cost, live=live)
    free = capabilities.units - room.units
    paused = f", {room.paused_units} of them held by paused jobs" if room.paused_units else ""
    busy = f"busy: {room.units} of {capabilities.units} units{paused}, {wanted} needed"
    if wanted > free:
        return True, busy
    kept = 0 if live else max(0, capabilities.reserve_live - room.live_units)
    if wanted > free - kept:
        return True, f"keeps {kept} {'unit' if kept == 1 else 'units'} for live jobs; {busy}"
    return True, f"{_count(around.ahead)} before it" if around.ahead else "about to get it"


def _is_kept_for(room: NodeRoom, job: Job) -> bool:
    return room.kept_for is not None and room.kept_for.sequence_number == job.sequence_number


def _lack(nodes: Sequence[Capabilities], needs: Needs) -> str:
    """What is needed and none of the nodes has; both the encoder and the labels when no node has all of it."""
    encoder = name_encoder_lacked(nodes, needs)
    lacking = [] if any(encodes(node, needs) for node in nodes) else [encoder]
    absent = [pair for pair in needs.node_labels if not any(node.labels.get(pair[0]) == pair[1] for node in nodes)]
    if lacking or absent:
        return " and ".join(lacking + _name_labels(absent))
    return " and ".join([encoder, *_name_labels(needs.node_labels)]) + " on one node"


def name_encoder_lacked(nodes: Sequence[Capabilities], needs: Needs) -> str:
    """What of an encoder is needed; where there is one that only cannot do all that is asked, what it cannot."""
    codec, *features = needs.codec.split("+")
    does = _DOES.get(features[-1]) if features else None
    plain = needs._replace(codec=codec)
    if does is not None and any(encodes(node, plain) for node in nodes):
        return f"{'an ffmpeg' if needs.engine == 'auto' else needs.engine} that {does}"
    encoder = f"an encoder for {codec}"
    if (name := encoder_named(needs)) is not None:
        encoder = f"the encoder {name}"
    if (scheme := scheme_read(needs)) is not None:
        encoder += f", and an ffmpeg that reads {scheme}://"
    return encoder if needs.engine == "auto" else f"{needs.engine} with {encoder}"


_DOES = {
    OPTIONS: "does more than plain encodes (a rate control, container, picture or sound of the scenario's own)",
    LADDER: "makes ladders",
    thumbnails.FEATURE: "makes thumbnails",
}


def _name_labels(labels: Sequence[tuple[str, str]]) -> list[str]:
    if not labels:
        return []
    names = ", ".join(f"{name}={value}" for name, value in labels)
    return [f"the label {names}" if len(labels) == 1 else f"the labels {names}"]


def _count(ahead: int) -> str:
    if ahead > MOST_AHEAD:
        return f"more than {MOST_AHEAD:,} jobs"
    return "1 job" if ahead == 1 else f"{ahead:,} jobs"
