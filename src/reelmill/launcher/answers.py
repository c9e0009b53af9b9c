"""What the launcher reads of the master's answers; fields that it does not name are skipped."""

from __future__ import annotations

from datetime import datetime

import msgspec

from reelmill.domain.capability import Capabilities
from reelmill.domain.job import Result


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457: what went wrong."""

    detail: str
    code: str
    field: str | None = None
    job_status: str | None = None
    limit: int | None = None


class SubmittedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the master has."""

    id: str
    sequence_number: int
    status: str


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one job of a batch."""

    index: int
    status: int
    job: SubmittedJob | None = None
    problem: Problem | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, in the order sent."""

    accepted: int
    rejected: int
    results: list[ItemAnswer]


class ValidatedItem(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one job."""

    problem: Problem | None = None


class ValidatedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a batch, in the order sent, and which queue or tenant is too full for it now."""

    rejected: int
    warnings: list[Problem]
    results: list[ValidatedItem]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the farm is, and which it is."""

    status: str
    reasons: list[str]
    version: str
    media_root: str
    nodes_online: int
    farm_id: str | None = None


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs jobs: ``online``, ``draining``, ``stopping`` or ``offline``; why it takes none for now."""

    name: str
    status: str
    capabilities: Capabilities
    trouble: str | None = None


class NodeStates(msgspec.Struct, frozen=True, kw_only=True):
    """Every node that the farm remembers."""

    nodes: list[NodeState]


class LaunchState(msgspec.Struct, frozen=True, kw_only=True):
    """A launch with its jobs by status; ``open`` is how many have not ended."""

    id: str
    total: int
    open: int
    counts: dict[str, int]


class LaunchHead(msgspec.Struct, frozen=True, kw_only=True):
    """A launch as a list shows it."""

    id: str
    name: str | None
    created_at: datetime | None
    total: int
    open: int
    counts: dict[str, int]


class LaunchHeads(msgspec.Struct, frozen=True, kw_only=True):
    """The latest launches, newest first."""

    launches: list[LaunchHead]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a value is spread over jobs."""

    n: int
    p50: float
    p95: float
    p99: float
    most: float


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds, ``speed`` in media seconds per second."""

    queue_wait: Spread | None
    run_time: Spread | None
    speed: Spread | None


class LaunchTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of a launch ran."""

    launch: LaunchState
    wall_seconds: float | None
    jobs_per_second: float | None
    timings: Timings


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a launch, as far as a report shows it."""

    id: str
    sequence_number: int
    scenario: str
    status: str
    error: str | None
    result: Result | None


class JobStates(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, and the cursor of the next one."""

    jobs: list[JobState]
    next: str | None = None


class AskedLength(msgspec.Struct, frozen=True):
    """How long a job's media is to be, in seconds; None when its input decides."""

    duration: float | None = None


class OpenJob(msgspec.Struct, frozen=True):
    """A job that has not ended: ``progress`` in percent, ``eta`` in seconds of encoding."""

    scenario: str
    parameters: AskedLength
    progress: float
    eta: float | None


class OpenJobs(msgspec.Struct, frozen=True):
    """A page of them."""

    jobs: list[OpenJob]
