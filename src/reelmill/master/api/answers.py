"""What the API answers: the shapes on the wire, with times as RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec

from reelmill.domain.capability import Capabilities
from reelmill.domain.energy import LostAttempt
from reelmill.domain.explanation import Outlook
from reelmill.domain.failure import Failure
from reelmill.domain.job import Job, Parameters, Result
from reelmill.domain.node import Node
from reelmill.domain.scenario import Scenario, ScenarioSource, source_of
from reelmill.domain.stream import StreamProgress
from reelmill.domain.tenant import Tenant
from reelmill.store.lanes import read_node_labels
from reelmill.store.launches import Launch, LaunchTimings
from reelmill.store.listing import LogEntry, Transition
from reelmill.store.rows import JSON_FIELDS, read_definition, read_parameters


def to_time(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time with its zone."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _with_times(value: msgspec.Struct, *times: str) -> dict[str, Any]:
    """The fields of a struct of the same names, with these ones turned into times."""
    fields = msgspec.structs.asdict(value)
    return fields | {name: to_time(fields[name]) for name in times}


class JobAnswer(msgspec.Struct, frozen=True):
    """One job. ``progress`` in percent, ``fps`` encoded per second, ``speed`` in media s per s, ``eta`` in seconds.

    ``stream`` is how the stream that a running job sends does now.
    Of a job in ``chunks``, ``chunks_left`` of them are not complete; each is a job with this one as its ``parent_id``.
    ``blocked`` says why no node of the farm can ever run it; it is looked up where jobs are looked at, and left out of
    the answers to a submission or an action.
    """

    id: str
    sequence_number: int
    tenant: str
    launch_id: str | None
    scenario: str
    engine: str
    queue: str
    priority: str
    status: str
    parameters: Parameters
    labels: dict[str, str]
    node_labels: dict[str, str]
    confidence: str | int | float | None
    progress: float
    fps: float | None
    speed: float | None
    eta: float | None
    stream: StreamProgress | None
    attempt: int
    failures: int
    crashes: int
    node_id: str | None
    node_name: str | None
    created_at: datetime
    assigned_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    eligible_at: datetime | None
    failure_reason: str | None
    error_code: str | None
    error: str | None
    result: Result | None
    parent_id: str | None
    chunks: int
    chunks_left: int
    engine_used: str | None
    engine_reason: str | None
    lost_attempts: tuple[LostAttempt, ...]
    blocked: str | msgspec.UnsetType | None = msgspec.UNSET


JOB_FIELDS: tuple[str, ...] = JobAnswer.__struct_fields__
_STORED_FIELDS = tuple(name for name in JOB_FIELDS if name != "blocked")
_DECIDE_BLOCKED = ("status", "engine", "scenario", "node_labels", "definition")
_TIMES = frozenset({"created_at", "assigned_at", "started_at", "completed_at", "eligible_at"})
_TIME_PLACES = [place for place, name in enumerate(_STORED_FIELDS) if name in _TIMES]

_PARAMETERS = _STORED_FIELDS.index("parameters")

_read_stored = attrgetter(*_STORED_FIELDS)
_encode = msgspec.json.Encoder().encode


def answer_job(job: Job, outlook: Outlook | None = None) -> JobAnswer:
    """The job as the API shows it; ``outlook`` says whether it is blocked."""
    values: list[Any] = list(_read_stored(job))
    values[_PARAMETERS] = job.parameters.shown()
    for place in _TIME_PLACES:
        values[place] = to_time(values[place])
    return JobAnswer(*values, blocked=msgspec.UNSET if outlook is None else outlook.block(job))


def _show_parameters(written: str) -> msgspec.Raw | Parameters:
    # Few jobs stream; the others are not read for it, since lists may be long.
    return read_parameters(written).shown() if "://" in written else msgspec.Raw(written)


_CHANGES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(JSON_FIELDS, msgspec.Raw),  # what the store keeps as JSON is JSON already
    "parameters": _show_parameters,
    **dict.fromkeys(_TIMES, to_time),
}


class RowEncoder:
    """Turns rows of the store, each a job's number and then ``columns``, into JSON as `answer_job` has it."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.columns = fields
        self._blocked = fields.index("blocked") if "blocked" in fields else None
        if self._blocked is not None:
            stored = ["status" if name == "blocked" else name for name in fields]  # one for the place, to be replaced
            self.columns = (*stored, *_DECIDE_BLOCKED)
        self._shown = msgspec.defstruct("Shown", fields, gc=False)
        self._changes: list[tuple[int, Callable[[Any], Any]]] = [
            (place, _CHANGES[name]) for place, name in enumerate(fields) if name in _CHANGES
        ]

    def encode(self, rows: Iterable[Sequence[Any]], outlook: Outlook) -> bytes:
        """The jobs with commas between them."""
        shown: list[msgspec.Struct] = []
        for _, *values in rows:
            if self._blocked is not None:
                status, engine, scenario, labels, written = values[-len(_DECIDE_BLOCKED) :]
                del values[-len(_DECIDE_BLOCKED) :]
                definition = None if written is None else read_definition(written)
                block = outlook.block_of(status, engine, scenario, read_node_labels(labels), definition)
                values[self._blocked] = block
            for place, change in self._changes:
                if values[place] is not None:
                    values[place] = change(values[place])
            shown.append(self._shown(*values))
        return _encode(shown)[1:-1]


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs; ``next`` is the cursor of the page behind it."""

    jobs: list[JobAnswer]
    count: int
    next: str | None


class ProblemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457: what went wrong. ``code`` is stable; ``field`` is the dotted path of what is wrong in the request.

    Of a queue or tenant that is full: how many jobs are ``waiting``, and the ``limit``. Of media:
    the ``failure`` of an attempt that ends of it.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    job_status: str | None = None
    waiting: int | None = None
    limit: int | None = None
    failure: Failure | None = None


class BatchItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one job of a batch: a job with 201 (200 for a repeat), or a problem with its status."""

    index: int
    status: int
    job: JobAnswer | None = None
    problem: ProblemAnswer | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, item by item in the order sent."""

    accepted: int
    rejected: int
    launch_id: str | None
    results: list[BatchItemAnswer]


class ValidatedItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What would become of one job: 200, or a problem with its status."""

    index: int
    status: int
    problem: ProblemAnswer | None = None


class ValidatedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a batch, item by item in the order sent; nothing was stored.

    ``warnings`` has a problem for each queue or tenant that is too full for it now; ``room`` says how many more jobs
    those that the batch asks for take now, by ``queue NAME`` and ``tenant NAME``, those without a limit left out.
    """

    accepted: int
    rejected: int
    warnings: list[ProblemAnswer]
    room: dict[str, int]
    results: list[ValidatedItemAnswer]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs there are: in all, by each property, and for each combination that exists."""

    total: int
    by_status: dict[str, int]
    by_queue: dict[str, int]
    by_priority: dict[str, int]
    by_scenario: dict[str, int]
    counts: list[dict[str, str | int]]


class TransitionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job's history; the first has no ``from_status``."""

    at: datetime | None
    from_status: str | None
    to_status: str
    attempt: int
    node_name: str | None
    reason: str


class HistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    history: list[TransitionAnswer]


class LogsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    attempts: list[LogEntry]


def answer_transition(step: Transition) -> TransitionAnswer:
    """The step as the API shows it."""
    return TransitionAnswer(**_with_times(step, "at"))


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One node. ``status`` is online, draining (a user said so), stopping (its worker ends) or offline.

    ``trouble`` says why it takes no jobs for now, such as a full disk; null when it does.
    """

    id: str
    name: str
    status: str
    capabilities: Capabilities
    version: str
    running_jobs: int
    started_at: datetime | None
    last_seen: datetime | None
    trouble: str | None


class NodesAnswer(msgspec.Struct, frozen=True):
    nodes: list[NodeAnswer]
    count: int


def answer_node(node: Node) -> NodeAnswer:
    """The node as the API shows it."""
    return NodeAnswer(**_with_times(node, "started_at", "last_seen"))


class LaunchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One launch with its jobs by status; ``open`` is how many have not ended."""

    id: str
    name: str | None
    created_at: datetime | None
    total: int
    open: int
    counts: dict[str, int]


class LaunchesAnswer(msgspec.Struct, frozen=True):
    launches: list[LaunchAnswer]
    count: int


class LaunchTimingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of a launch ran; durations in seconds, ``jobs_per_second`` over the span in which they ran."""

    launch: LaunchAnswer
    wall_seconds: float | None
    jobs_per_second: float | None
    timings: LaunchTimings


def answer_launch(launch: Launch, still_open: int) -> LaunchAnswer:
    """The launch as the API shows it."""
    return LaunchAnswer(
        id=launch.id,
        name=launch.name,
        created_at=to_time(launch.created_at),
        total=sum(launch.counts.values()),
        open=still_open,
        counts=launch.counts,
    )


class TenantsAnswer(msgspec.Struct, frozen=True):
    tenants: list[Tenant]
    count: int


class ScenarioAnswer(Scenario, frozen=True, kw_only=True):
    """A scenario, and where it comes from: the program, or the settings of the master that answers."""

    source: ScenarioSource


def answer_scenario(scenario: Scenario) -> ScenarioAnswer:
    """The scenario as the API shows it."""
    fields = (getattr(scenario, name) for name in Scenario.__struct_fields__)
    return ScenarioAnswer(*fields, source=source_of(scenario))


class ScenariosAnswer(msgspec.Struct, frozen=True):
    scenarios: list[ScenarioAnswer]
    count: int


class CancelLaunchAnswer(msgspec.Struct, frozen=True):
    launch_id: str
    canceled: int


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`healthy`, or `degraded` or `unhealthy` with the reasons; ``jobs`` by status.

    ``full_queues`` take no more jobs now.
    ``farm_id`` is null when the store does not answer.
    """

    status: str
    reasons: list[str]
    version: str
    farm_id: str | None
    media_root: str
    nodes_online: int
    full_queues: list[str]
    jobs: dict[str, int]
