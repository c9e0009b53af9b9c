"""The figures of a launch, from its jobs: read page by page, and kept as a few numbers for each job at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from reelmill.domain.job import TERMINAL
from reelmill.launcher.answers import LaunchState
from reelmill.launcher.client import MasterClient, path_of
from reelmill.launcher.measured import MeasuredFigures, RanQuality, RanSpending
from reelmill.launcher.progress import Display
from reelmill.launcher.sample import Sample

PAGE = 5_000
PATIENCE = 60.0
MOST_EXAMPLES = 3
MOST_ERROR_CHARS = 400
_MOST_KINDS = 500
"""How many different nodes, labels or kinds of failure are told apart; what comes then is `other`."""
_OTHER = "other"


class RanParameters(msgspec.Struct, frozen=True):
    """What a job asked for, as far as figures need it; ``duration`` in seconds."""

    duration: float | None = None


class RanResult(RanSpending, frozen=True, kw_only=True):
    """What was verified, as far as figures need it; ``duration``, ``encode_seconds``, ``cpu_seconds`` in seconds."""

    size_bytes: int
    duration: float
    encode_seconds: float
    cpu_seconds: float
    quality: RanQuality | None = None


class RanJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job as a report needs it; ``speed`` in media seconds per second."""

    sequence_number: int
    scenario: str
    queue: str
    priority: str
    engine: str
    status: str
    parameters: RanParameters = RanParameters()
    labels: dict[str, str] = {}
    node_name: str | None = None
    attempt: int = 0
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    speed: float | None = None
    failure_reason: str | None = None
    error_code: str | None = None
    error: str | None = None
    result: RanResult | None = None
    lost_attempts: tuple[RanSpending, ...] = ()


FIELDS = ",".join(RanJob.__struct_fields__)


class RanJobs(msgspec.Struct, frozen=True):
    """A page of jobs; ``next`` is the cursor of the page behind it."""

    jobs: list[RanJob]
    next: str | None


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One failed job of several that failed alike."""

    job: int
    scenario: str
    node: str | None
    error: str


class FailureKind(msgspec.Struct, kw_only=True):
    """Jobs that failed alike: how many, and the first few."""

    reason: str
    code: str
    count: int = 0
    examples: list[Example] = []


class ScenarioFigures(msgspec.Struct, kw_only=True):
    """The jobs of one scenario. Seconds and bytes are those of completed jobs."""

    name: str
    counts: Counter[str] = msgspec.field(default_factory=Counter[str])
    run_time: Sample = msgspec.field(default_factory=Sample)
    speed: Sample = msgspec.field(default_factory=Sample)
    media_seconds: float = 0.0
    cpu_seconds: float = 0.0
    size_bytes: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class NodeFigures(msgspec.Struct, kw_only=True):
    """What one node did: jobs that ended there, and the seconds for which completed ones ran."""

    name: str
    completed: int = 0
    failed: int = 0
    busy_seconds: float = 0.0


class SubmitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the master does not know: ``latency`` in seconds per request, if it was kept, and the jobs it rejected."""

    latency: Sample | None = None
    rejected: int


class LaunchFigures:
    """Adds up the jobs of a launch. Times are seconds since the epoch, durations seconds."""

    def __init__(self, submit: SubmitFigures | None = None) -> None:
        self.submit = submit
        self.counts = Counter[str]()
        self.retried = 0
        self.queues, self.priorities, self.engines = Counter[str](), Counter[str](), Counter[str]()
        self.labels = Counter[str]()
        self.scenarios: dict[str, ScenarioFigures] = {}
        self.nodes: dict[str, NodeFigures] = {}
        self.failures: dict[tuple[str, str], FailureKind] = {}
        self.measured = MeasuredFigures()
        self.queue_wait = Sample()
        self.created = Sample()
        self.completed_at = Sample()
        self.failed_at = Sample()
        self.first_started: float | None = None
        self.last_ended: float | None = None
        self.media_asked: float = 0.0
        self.media_unknown = 0
        """Jobs whose length is that of their input, which nobody knows before they ran."""
        self._run_time: Sample | None = None
        self._speed: Sample | None = None

    def add(self, job: RanJob) -> None:
        """Take one more job."""
        self.counts[job.status] += 1
        self.retried += job.attempt > 1
        self.queues[job.queue] += 1
        self.priorities[job.priority] += 1
        self.engines[job.engine] += 1
        for name, value in job.labels.items():
            label = f"{name}={value}"
            self.labels[label if label in self.labels or len(self.labels) < _MOST_KINDS else _OTHER] += 1
        if job.parameters.duration is None:
            self.media_unknown += 1
        else:
            self.media_asked += job.parameters.duration
        self._add_times(job)
        self._add_work(job)
        for lost in job.lost_attempts:
            self.measured.lost.add(lost)
        if job.status in ("failed", "timed_out"):
            self._add_failure(job)

    def _add_times(self, job: RanJob) -> None:
        created = job.created_at.timestamp()
        self.created.add(created)
        if job.started_at is not None:
            started = job.started_at.timestamp()
            self.queue_wait.add(max(started - created, 0.0))
            self.first_started = started if self.first_started is None else min(self.first_started, started)
        if job.completed_at is not None:
            ended = job.completed_at.timestamp()
            self.last_ended = ended if self.last_ended is None else max(self.last_ended, ended)
            if job.status in ("completed", "failed", "timed_out"):
                (self.completed_at if job.status == "completed" else self.failed_at).add(ended)

    def _add_work(self, job: RanJob) -> None:
        scenario = self.scenarios.get(job.scenario)
        if scenario is None:
            scenario = self.scenarios[job.scenario] = ScenarioFigures(name=job.scenario)
        scenario.counts[job.status] += 1
        node = self._node(job.node_name) if job.node_name is not None else None
        if job.status != "completed":
            if node is not None and job.status in ("failed", "timed_out"):
                node.failed += 1
            return
        seconds = 0.0
        if job.started_at is not None and job.completed_at is not None:
            seconds = max((job.completed_at - job.started_at).total_seconds(), 0.0)
            scenario.run_time.add(seconds)
        if job.speed is not None:
            scenario.speed.add(job.speed)
        if job.result is not None:
            scenario.media_seconds += job.result.duration
            scenario.cpu_seconds += job.result.cpu_seconds
            scenario.size_bytes += job.result.size_bytes
            self._add_measured(job.result)
        if node is not None:
            node.completed += 1
            node.busy_seconds += seconds

    def _add_measured(self, result: RanResult) -> None:
        self.measured.add_quality(result.quality)
        self.measured.spent.add(result)

    def _node(self, name: str) -> NodeFigures:
        known = name if name in self.nodes or len(self.nodes) < _MOST_KINDS else _OTHER
        return self.nodes.setdefault(known, NodeFigures(name=known))

    def _add_failure(self, job: RanJob) -> None:
        key = (job.failure_reason or "unknown", job.error_code or "unknown")
        if key not in self.failures and len(self.failures) >= _MOST_KINDS:
            key = (_OTHER, _OTHER)
        kind = self.failures.setdefault(key, FailureKind(reason=key[0], code=key[1], examples=[]))
        kind.count += 1
        if len(kind.examples) < MOST_EXAMPLES:
            error = (job.error or "no reason was kept")[:MOST_ERROR_CHARS]
            kind.examples.append(
                Example(job=job.sequence_number, scenario=job.scenario, node=job.node_name, error=error)
            )

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """How many have not ended."""
        return sum(n for status, n in self.counts.items() if status not in TERMINAL)

    @property
    def failed(self) -> int:
        """Failed or timed out."""
        return self.counts["failed"] + self.counts["timed_out"]

    @property
    def wall_seconds(self) -> float | None:
        """From the first start to the last end."""
        if self.first_started is None or self.last_ended is None or self.last_ended <= self.first_started:
            return None
        return self.last_ended - self.first_started

    @property
    def per_second(self) -> float | None:
        """Completed jobs per second of the wall time."""
        wall = self.wall_seconds
        return None if wall is None else self.counts["completed"] / wall

    @property
    def run_time(self) -> Sample:
        """Seconds for which completed jobs ran; to be asked for when all jobs are there."""
        if self._run_time is None:
            self._run_time = _join([scenario.run_time for scenario in self.scenarios.values()])
        return self._run_time

    @property
    def speed(self) -> Sample:
        """Media seconds per second of completed jobs; to be asked for when all jobs are there."""
        if self._speed is None:
            self._speed = _join([scenario.speed for scenario in self.scenarios.values()])
        return self._speed


def _join(samples: Sequence[Sample]) -> Sample:
    joined = Sample()
    for sample in samples:
        joined.extend(sample)
    return joined


async def read_ran_jobs(client: MasterClient, launch_id: str) -> AsyncIterator[list[RanJob]]:
    """Every job of the launch, in pages, in the order of acceptance."""
    params: dict[str, str | int] = {"launch": launch_id, "fields": FIELDS, "limit": PAGE}
    while True:
        page = await client.get("/jobs", RanJobs, params, patience=PATIENCE)
        yield page.jobs
        if page.next is None:
            return
        params["cursor"] = page.next


async def read_figures(
    client: MasterClient, launch_id: str, display: Display, submit: SubmitFigures | None = None
) -> LaunchFigures:
    """The figures of the launch as its jobs are now, with what is known of the submit; NotFound without such a launch.

    Reads every job, in pages, and keeps a few numbers for each.
    """
    state = await client.get(path_of("launches", launch_id), LaunchState, patience=PATIENCE)
    figures = LaunchFigures(submit)
    with display.bar("reading", state.total) as bar:
        async for jobs in read_ran_jobs(client, launch_id):
            for job in jobs:
                figures.add(job)
            bar.show(figures.total)
    return figures
