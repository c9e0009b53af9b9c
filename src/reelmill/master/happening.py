"""What the stream of events is made of: transitions, progress, lines of a log; as bytes that all listeners share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from reelmill.bus.words import LogLines
from reelmill.domain.attempt import Progress
from reelmill.domain.stream import StreamProgress
from reelmill.store.events import Step, Subject

KINDS = ("transition", "progress", "log")


class _OfJob(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    job_id: str
    sequence_number: int
    launch_id: str | None
    tenant: str
    scenario: str
    attempt: int
    node_name: str | None


class TransitionEvent(_OfJob, frozen=True, kw_only=True):
    """A step of a job's history."""

    from_status: str
    to_status: str
    reason: str


class ProgressEvent(_OfJob, frozen=True, kw_only=True):
    """How far a running job is: percent, frames per second, media seconds per second, seconds left.

    ``stream`` is how the stream that it sends does; null of a job that sends none.
    """

    progress: float
    fps: float | None
    speed: float | None
    eta: float | None
    stream: StreamProgress | None


class LogEvent(_OfJob, frozen=True, kw_only=True):
    """What the engine of a job said in a second; ``left_out`` more lines were too many."""

    lines: list[str]
    left_out: int


class Happening(NamedTuple):
    """One event: what it is filtered by, and the text of it. Only transitions have an ``id``."""

    kind: str
    id: int | None
    job_id: str
    number: str
    launch_id: str | None
    tenant: str
    status: str
    text: bytes


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: each set that is not empty must contain the event's value; jobs by id or number."""

    kinds: frozenset[str] = frozenset(KINDS)
    jobs: frozenset[str] = frozenset()
    launches: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()

    def wants(self, event: Happening) -> bool:
        """Whether the event is one of them."""
        return (
            event.kind in self.kinds
            and (not self.jobs or event.job_id in self.jobs or event.number in self.jobs)
            and (not self.launches or event.launch_id in self.launches)
            and (not self.statuses or event.status in self.statuses)
            and (not self.tenants or event.tenant in self.tenants)
        )

    def choose(self, events: Iterable[Happening]) -> bytes:
        """The text of the events that are wanted."""
        return b"".join(event.text for event in events if self.wants(event))


def tell_step(step: Step) -> Happening:
    """The event of a step of the history."""
    event = TransitionEvent(
        at=_time(step.at),
        job_id=step.job_id,
        sequence_number=step.sequence_number,
        launch_id=step.launch_id,
        tenant=step.tenant,
        scenario=step.scenario,
        attempt=step.attempt,
        node_name=step.node_name,
        from_status=step.from_status,
        to_status=step.to_status,
        reason=step.reason,
    )
    return _happening("transition", step.id, event, step.to_status)


def tell_progress(job: Subject, said: Progress, now: float) -> Happening:
    """The event of a sign of progress."""
    event = ProgressEvent(
        **_subject(job, said.key.attempt, now),
        progress=said.progress,
        fps=said.fps,
        speed=said.speed,
        eta=said.eta,
        stream=said.stream,
    )
    return _happening("progress", None, event, job.status)


def tell_lines(job: Subject, said: LogLines, now: float) -> Happening:
    """The event of what an engine said."""
    event = LogEvent(
        **_subject(job, said.key.attempt, now),
        lines=said.lines,
        left_out=said.left_out,
    )
    return _happening("log", None, event, job.status)


def _subject(job: Subject, attempt: int, now: float) -> dict[str, Any]:
    """What every live event says of the job that it is about."""
    return {
        "at": _time(now),
        "job_id": job.job_id,
        "sequence_number": job.sequence_number,
        "launch_id": job.launch_id,
        "tenant": job.tenant,
        "scenario": job.scenario,
        "attempt": attempt,
        "node_name": job.node_name,
    }


def _happening(kind: str, number: int | None, event: _OfJob, status: str) -> Happening:
    head = b"" if number is None else b"id: %d\n" % number
    text = head + b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(event))
    job = (event.job_id, str(event.sequence_number), event.launch_id, event.tenant)
    return Happening(kind, number, *job, status, text)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
