"""Between a row of the jobs table and the `Job` of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import select

from reelmill.domain.chunk import ChunkPlan
from reelmill.domain.energy import LostAttempt
from reelmill.domain.job import Job, NewJob, Parameters, Result, order_rank
from reelmill.domain.scenario import Scenario
from reelmill.domain.stream import StreamProgress
from reelmill.store.schema import jobs

JOB_FIELDS: tuple[str, ...] = Job.__struct_fields__
SELECT_JOB = select(*(jobs.c[name] for name in JOB_FIELDS))

read_parameters = msgspec.json.Decoder(Parameters).decode
_labels = msgspec.json.Decoder(dict[str, str])
_confidence = msgspec.json.Decoder(str | int | float)
_stream = msgspec.json.Decoder(StreamProgress)
_result = msgspec.json.Decoder(Result)
_chunk_plan = msgspec.json.Decoder(ChunkPlan)
_lost_attempts = msgspec.json.Decoder(tuple[LostAttempt, ...])
read_definition = msgspec.json.Decoder(Scenario).decode
_DECODERS = {
    JOB_FIELDS.index("parameters"): read_parameters,
    JOB_FIELDS.index("labels"): _labels.decode,
    JOB_FIELDS.index("node_labels"): _labels.decode,
    JOB_FIELDS.index("confidence"): _confidence.decode,
    JOB_FIELDS.index("definition"): read_definition,
    JOB_FIELDS.index("stream"): _stream.decode,
    JOB_FIELDS.index("result"): _result.decode,
    JOB_FIELDS.index("chunk_plan"): _chunk_plan.decode,
    JOB_FIELDS.index("lost_attempts"): _lost_attempts.decode,
}

JSON_FIELDS = frozenset(JOB_FIELDS[index] for index in _DECODERS)
"""The fields whose columns hold JSON."""

MUTABLE_COLUMNS: tuple[str, ...] = (*JOB_FIELDS[JOB_FIELDS.index("attempt") :], "status", "ready", "due_at")
"""What an event may change; all else is as it was submitted."""

_mutable_fields = attrgetter(*MUTABLE_COLUMNS[:-2])

NEW_ROW_COLUMNS = (
    "sequence_number",
    "id",
    "tenant",
    "launch_id",
    "scenario",
    "engine",
    "queue",
    "priority",
    "status",
    "parameters",
    "labels",
    "node_labels",
    "confidence",
    "created_at",
    "parent_id",
    "definition",
    "attempt",
    "failures",
    "crashes",
    "progress",
    "idempotency_key",
    "fingerprint",
    "lane_id",
    "rank",
    "ready",
)


def job_from_row(row: Sequence[Any]) -> Job:
    """The job of a row that `SELECT_JOB` gave."""
    values: list[Any] = list(row)
    for index, decode in _DECODERS.items():
        if values[index] is not None:
            values[index] = decode(values[index])
    return Job(*values)


def new_row(job: NewJob, sequence_number: int, launch_id: str | None, lane_id: int, now: float) -> tuple[Any, ...]:
    """The row, in the order of `NEW_ROW_COLUMNS`, of a job that was just accepted."""
    return (
        sequence_number,
        job.id,
        job.tenant,
        launch_id,
        job.scenario,
        job.engine,
        job.queue,
        job.priority,
        "queued",
        _text(job.parameters),
        _text(job.labels),
        _text(job.node_labels),
        _text(job.confidence) if job.confidence is not None else None,
        now,
        job.parent_id,
        _text(job.definition) if job.definition is not None else None,
        0,
        0,
        0,
        0.0,
        job.idempotency_key,
        job.fingerprint,
        lane_id,
        order_rank(job.queue, job.priority),
        True,
    )


def mutable_values(job: Job) -> list[Any]:
    """The values of `MUTABLE_COLUMNS`, each as the job has it; see `stored_value`."""
    due_at = job.eligible_at if job.status == "retrying" else None
    return [*_mutable_fields(job), job.status == "queued" and not job.chunks_left, due_at]


def stored_value(column: str, value: Any) -> Any:
    """A value as that column keeps it."""
    return _text(value) if column in JSON_FIELDS and value is not None else value


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def chunks(values: Sequence[Any], size: int = 500) -> list[Sequence[Any]]:
    """The values in slices that fit into one IN (...) list."""
    return [values[start : start + size] for start in range(0, len(values), size)]
