"""Between a row of the jobs table and the `Job` of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import select

from reelmill.domain.job import Job, NewJob, Parameters, Result, order_rank
from reelmill.store.schema import jobs

JOB_FIELDS: tuple[str, ...] = Job.__struct_fields__
SELECT_JOB = select(*(jobs.c[name] for name in JOB_FIELDS))

_parameters = msgspec.json.Decoder(Parameters)
_labels = msgspec.json.Decoder(dict[str, str])
_confidence = msgspec.json.Decoder(str | int | float)
_result = msgspec.json.Decoder(Result)
_DECODERS = {
    JOB_FIELDS.index("parameters"): _parameters.decode,
    JOB_FIELDS.index("labels"): _labels.decode,
    JOB_FIELDS.index("confidence"): _confidence.decode,
    JOB_FIELDS.index("result"): _result.decode,
}

MUTABLE_FIELDS: tuple[str, ...] = (*JOB_FIELDS[JOB_FIELDS.index("attempt") :], "status")
"""What an event may change; all else is as it was submitted."""


NEW_ROW_COLUMNS = (
    "sequence_number",
    "id",
    "launch_id",
    "scenario",
    "engine",
    "queue",
    "priority",
    "parameters",
    "labels",
    "confidence",
    "created_at",
    "idempotency_key",
    "fingerprint",
    "lane_id",
    "rank",
)


def job_from_row(row: Sequence[Any]) -> Job:
    """The job of a row that `SELECT_JOB` gave."""
    values: list[Any] = list(row)
    for index, decode in _DECODERS.items():
        if values[index] is not None:
            values[index] = decode(values[index])
    return Job(**dict(zip(JOB_FIELDS, values, strict=True)))


def new_row(job: NewJob, sequence_number: int, launch_id: str | None, lane_id: int, now: float) -> dict[str, Any]:
    """The row of a job that was just accepted."""
    values = (
        sequence_number,
        job.id,
        launch_id,
        job.scenario,
        job.engine,
        job.queue,
        job.priority,
        _text(job.parameters),
        _text(job.labels),
        _text(job.confidence) if job.confidence is not None else None,
        now,
        job.idempotency_key,
        job.fingerprint,
        lane_id,
        order_rank(job.queue, job.priority),
    )
    return dict(zip(NEW_ROW_COLUMNS, values, strict=True))


def changed_values(job: Job) -> dict[str, Any]:
    """The columns that an event may have changed, as the store keeps them."""
    values = {name: getattr(job, name) for name in MUTABLE_FIELDS}
    values["result"] = _text(job.result) if job.result is not None else None
    values["ready"] = job.status == "queued"
    return values


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def chunks(values: Sequence[Any], size: int = 500) -> list[Sequence[Any]]:
    """The values in slices that fit into one IN (...) list."""
    return [values[start : start + size] for start in range(0, len(values), size)]
