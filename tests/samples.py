"""Plain values to begin a test with: requests, jobs, nodes, offers, results, reports. One clock time for all: NOW."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import uuid_utils

from reelmill.domain.attempt import AttemptKey, AttemptLog, AttemptReport, Grant, Offer, Progress
from reelmill.domain.capability import CODECS, Capabilities
from reelmill.domain.chunk import Chunk
from reelmill.domain.failure import Failure
from reelmill.domain.job import ACTIVE, TERMINAL, Job, NewJob, Parameters, Priority, Queue, Result, Status
from reelmill.domain.lifecycle import Fail, Publish, Report, Settle, Start
from reelmill.domain.node import NodeInfo
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.retry import RetryPolicy
from reelmill.store.transition import Rules

NOW = 1_700_000_000.0
LEASE = 30.0
POLICY = RetryPolicy(max_failures=3, max_crashes=3, base_seconds=2.0, cap_seconds=300.0)
FFMPEG: dict[str, list[str]] = {"ffmpeg": list(CODECS)}

NETWORK_DOWN = Failure("network_error", "unreachable", "The input's server does not answer; try later.")
BAD_INPUT = Failure("input_error", "input_missing", "The input does not exist; check its path.")
TOO_SLOW = Failure("timeout", "job_timeout", "The job ran longer than it may.")

PIECES = (
    Chunk(index=0, start=0, end=300, seek=0.0, seconds=10.0),
    Chunk(index=1, start=300, end=None, seek=10.0, seconds=30.0),
)
"""What a film of forty seconds may be split into."""


def rules(after: float = 0.0, *, seed: int = 1, policy: RetryPolicy = POLICY) -> Rules:
    """The rules ``after`` seconds from NOW."""
    return Rules(NOW + after, policy, random.Random(seed))


def new_job(
    scenario: str = "480p30-h264", *, queue: Queue = "default", priority: Priority = "medium", **fields: object
) -> NewJob:
    """An accepted request with a fresh id; ``fields`` are the other fields of a request."""
    body = {"scenario": scenario, "queue": queue, "priority": priority, **fields}
    return accept(msgspec.convert(body, JobRequest), str(uuid_utils.uuid7()))


def new_jobs(count: int, scenario: str = "480p30-h264") -> list[NewJob]:
    """Several jobs that differ only in their ids."""
    return [new_job(scenario) for _ in range(count)]


def stored_job(**fields: object) -> Job:
    """A queued job as a store would hand it out; ``fields`` replace its own."""
    job = Job(
        id="0190a000-0000-7000-8000-000000000001",
        sequence_number=1,
        tenant="default",
        launch_id=None,
        scenario="480p30-h264",
        engine="auto",
        queue="default",
        priority="medium",
        status="queued",
        parameters=Parameters(duration=1.0, bitrate=2_000_000, output="outputs/a.mp4"),
        labels={},
        node_labels={},
        confidence=None,
        created_at=NOW,
    )
    return msgspec.structs.replace(job, **fields)


def job_in(status: Status, **fields: object) -> Job:
    """A job as it looks in that status after its first attempt."""
    values: dict[str, object] = {"status": status, "attempt": 1}
    if status in ACTIVE:
        values |= {"node_id": "n1", "node_name": "mill-1", "lease_until": NOW + 30}
    if status == "running":
        values["started_at"] = NOW
    if status in TERMINAL:
        values["completed_at"] = NOW
    return stored_job(**values | fields)


def result(output: str = "outputs/a.mp4") -> Result:
    """A verified output."""
    return Result(
        output=output,
        size_bytes=1234,
        sha256="ab" * 32,
        container="mp4",
        codec="h264",
        width=854,
        height=480,
        fps=30.0,
        duration=1.0,
        frames=30,
        audio_codec=None,
        engine="ffmpeg",
        encode_seconds=0.5,
        cpu_seconds=0.4,
        speed=2.0,
    )


def node_info(
    name: str = "mill-1",
    units: int = 8,
    engines: dict[str, list[str]] | None = None,
    *,
    labels: dict[str, str] | None = None,
    reserve_live: int = 0,
) -> NodeInfo:
    """A node whose id is its name with a tail."""
    return NodeInfo(
        f"{name}-id", name, Capabilities(units, engines or FFMPEG, labels or {}, reserve_live), "0.0.0", NOW
    )


def offer(node: NodeInfo, free_units: int | None = None, *, reserve_live: int | None = None) -> Offer:
    """All the room of the node, or only ``free_units`` of it; with another reserve for live jobs if one is given."""
    capabilities = node.capabilities
    if reserve_live is not None:
        capabilities = msgspec.structs.replace(capabilities, reserve_live=reserve_live)
    return Offer(node.id, node.name, capabilities, capabilities.units if free_units is None else free_units)


def started(key: AttemptKey, node: NodeInfo) -> AttemptReport:
    """The engine was started."""
    return said(key, node, Start())


def settled(key: AttemptKey, node: NodeInfo, log: AttemptLog | None = None) -> AttemptReport:
    """The output was verified."""
    return said(key, node, Settle(result()), log)


def published(key: AttemptKey, node: NodeInfo) -> AttemptReport:
    """The output is in its place."""
    return said(key, node, Publish())


def failed(
    key: AttemptKey, node: NodeInfo, failure: Failure = NETWORK_DOWN, log: AttemptLog | None = None
) -> AttemptReport:
    """The attempt failed."""
    return said(key, node, Fail(failure), log)


def said(key: AttemptKey, node: NodeInfo, event: Report, log: AttemptLog | None = None) -> AttemptReport:
    """What the node says of the attempt."""
    return AttemptReport(key, node.id, event, log)


def keys(grants: Sequence[Grant]) -> list[AttemptKey]:
    """The attempts that were granted."""
    return [grant.key for grant in grants]


def held(*keys_held: AttemptKey) -> list[Progress]:
    """What a beat says of attempts that have just begun."""
    return [Progress(key) for key in keys_held]
