"""Why a job does not run: one sentence for the job, and one for each node."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from reelmill.domain.capability import Needs, can_run, units_on
from reelmill.domain.job import ACTIVE, TERMINAL, Job
from reelmill.domain.lifecycle import describe
from reelmill.domain.node import Node

MOST_AHEAD = 10_000
"""Jobs before this one are counted no further."""


class NodeReason(msgspec.Struct, frozen=True):
    """Why the job does not run on this node; ``able`` when it only has to wait there."""

    node_name: str
    able: bool
    reason: str


class Explanation(msgspec.Struct, frozen=True):
    """Why the job is not running. ``ahead`` is how many ready jobs come before it on nodes like those it can run on."""

    job_id: str
    status: str
    summary: str
    ahead: int
    nodes: list[NodeReason]


class Busy(NamedTuple):
    """A node and how many of its CPU units are taken."""

    node: Node
    units: int


def explain(job: Job, needs: Needs, nodes: list[Busy], ahead: int, now: float) -> Explanation:
    """The explanation at ``now`` (seconds since the epoch); ``nodes`` without those that are offline."""
    reasons = [NodeReason(busy.node.name, *_judge(needs, busy, ahead)) for busy in nodes]
    return Explanation(job.id, job.status, _summarise(job, needs, reasons, ahead, now), ahead, reasons)


def _summarise(job: Job, needs: Needs, reasons: list[NodeReason], ahead: int, now: float) -> str:
    if job.status in TERMINAL:
        return f"the job has ended: {job.status}" + (f" ({job.error})" if job.error else "")
    if job.status in ACTIVE:
        return f"the job is {describe(job)} on {job.node_name}"
    if job.status == "paused":
        return "the job is paused; `reelmill jobs resume` lets it go on"
    if job.status == "retrying" and job.eligible_at is not None and job.eligible_at > now:
        return f"waits {job.eligible_at - now:.0f} s more for its next try ({job.error})"
    if not reasons:
        return "no node is online"
    if not any(reason.able for reason in reasons):
        return f"no node of this farm can run it: it {_need(needs)}"
    return f"waits for room: {_count(ahead)} before it" if ahead else "waits for room: it is the next one"


def _judge(needs: Needs, busy: Busy, ahead: int) -> tuple[bool, str]:
    node = busy.node
    if not can_run(node.capabilities, needs):
        return False, _need(needs)
    if node.status == "draining":
        return False, "is draining"
    free = node.capabilities.units - busy.units
    if units_on(node.capabilities, needs) > free:
        wanted = units_on(node.capabilities, needs)
        return True, f"busy: {busy.units} of {node.capabilities.units} units, {wanted} needed"
    return True, f"{_count(ahead)} before it" if ahead else "about to get it"


def _need(needs: Needs) -> str:
    if needs.engine == "auto":
        return f"needs an encoder for {needs.codec}"
    return f"needs {needs.engine} with an encoder for {needs.codec}"


def _count(ahead: int) -> str:
    if ahead > MOST_AHEAD:
        return f"more than {MOST_AHEAD:,} jobs"
    return "1 job" if ahead == 1 else f"{ahead:,} jobs"
