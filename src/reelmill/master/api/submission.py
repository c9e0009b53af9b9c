"""From the body of a request to durable jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import uuid_utils

from reelmill.domain.job import NewJob
from reelmill.domain.plain_text import check_plain
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.scenario import find_scenario
from reelmill.errors import Conflict, Full, InvalidField, ReelmillError
from reelmill.master.api.answers import (
    BatchAnswer,
    BatchItemAnswer,
    ProblemAnswer,
    ValidatedAnswer,
    ValidatedItemAnswer,
    answer_job,
)
from reelmill.master.api.problems import TOO_DEEP, describe_error, read_decode_error
from reelmill.master.farm import Farm
from reelmill.master.intake import Intake
from reelmill.store.launches import take_back_launch
from reelmill.store.protocol import Tx
from reelmill.store.submit import Accepted, Answer, ensure_launch, insert_jobs, judge_jobs
from reelmill.store.transition import Rules

MAX_BATCH = 10_000
_MAX_NAME_CHARS = 200
_LAUNCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class LaunchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which launch the jobs of a batch belong to; without an id, a new one."""

    id: str | None = None
    name: str | None = None


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /jobs/batch``; each job is judged on its own."""

    jobs: list[msgspec.Raw]
    launch: LaunchRequest | None = None


JOB_DECODER = msgspec.json.Decoder(JobRequest)
_BATCH_DECODER = msgspec.json.Decoder(BatchRequest)


def new_id() -> str:
    """A UUID of version 7: unique, and sorted by time."""
    return str(uuid_utils.uuid7())


def check_text(body: bytes) -> bytes:
    """The body, which must be UTF-8 as all JSON is; the decoder itself finds out too late, and only in some places."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8 at byte {error.start}") from error
    return body


async def accept_one(farm: Farm, intake: Intake, asked: JobRequest) -> Accepted:
    """The job, stored; InvalidField or Conflict when it cannot be."""
    job = _accept(farm, asked)
    if job.parameters.input_file is not None:
        [missing] = await asyncio.to_thread(_find_missing_inputs, farm, [job])
        if missing is not None:
            raise missing
    answer = await intake.submit(job)
    if isinstance(answer, Full):
        await intake.guess_wait(answer)
        raise answer
    if isinstance(answer, Conflict):
        raise answer
    return answer


class _Judged(NamedTuple):
    """A batch whose jobs were judged one by one, those of them that are good, and the id and name of its launch."""

    jobs: list[NewJob | ProblemAnswer]
    good: list[NewJob]
    launch: tuple[str, str | None] | None


async def _judge_batch(farm: Farm, body: bytes) -> _Judged:
    batch = _BATCH_DECODER.decode(body)
    if not 1 <= len(batch.jobs) <= MAX_BATCH:
        raise InvalidField("jobs", f"has {len(batch.jobs)} items; a batch holds 1 to {MAX_BATCH}")
    launch = _check_launch(batch.launch)
    judged = [_judge(farm, raw) for raw in batch.jobs]
    if any(isinstance(job, NewJob) and job.parameters.input_file is not None for job in judged):
        missing = await asyncio.to_thread(_find_missing_inputs, farm, judged)
        judged = [describe_error(error) if error else job for job, error in zip(judged, missing, strict=True)]
    return _Judged(judged, [job for job in judged if isinstance(job, NewJob)], launch)


async def validate_batch(farm: Farm, body: bytes) -> ValidatedAnswer:
    """What `accept_batch` would say to the same body now; nothing is stored."""
    judged, good, _ = await _judge_batch(farm, body)
    found = await farm.store.read(lambda tx: judge_jobs(tx, good, farm.max_queued))
    answers = iter(found.answers)
    results: list[ValidatedItemAnswer] = []
    for index, job in enumerate(judged):
        refusal = next(answers) if isinstance(job, NewJob) else job
        trouble = describe_error(refusal) if isinstance(refusal, Conflict) else refusal
        status = 200 if trouble is None else trouble.status
        results.append(ValidatedItemAnswer(index=index, status=status, problem=trouble))
    rejected = sum(result.problem is not None for result in results)
    return ValidatedAnswer(
        accepted=len(results) - rejected,
        rejected=rejected,
        warnings=[describe_error(full) for full in found.lacks],
        room={f"{place.kind} {place.name}": n for place, n in found.room.items()},
        results=results,
    )


async def accept_batch(farm: Farm, intake: Intake, body: bytes) -> BatchAnswer:
    """Store every good job of the batch in one commit; an answer for each, in order.

    Full, and nothing of it is stored, when its new jobs do not all fit.
    """
    judged, good, launch = await _judge_batch(farm, body)

    def store(tx: Tx, rules: Rules) -> list[Answer]:
        insert = partial(insert_jobs, tx, good, rules.now, max_queued=farm.max_queued, together=True)
        if launch is None:
            return insert()
        is_new = ensure_launch(tx, launch[0], launch[1], rules.now)
        answers = insert(launch_id=launch[0])
        if is_new and not any(isinstance(answer, Accepted) and answer.created for answer in answers):
            take_back_launch(tx, launch[0])
        return answers

    try:
        stored = iter(await farm.change(store) if good else ())
    except Full as full:
        await intake.guess_wait(full)
        raise
    results = [_item(index, next(stored) if isinstance(job, NewJob) else job) for index, job in enumerate(judged)]
    created = sum(result.status == 201 for result in results)
    farm.metrics.submitted.inc(created)
    accepted = [result.job for result in results if result.job is not None]
    launch_id = launch[0] if launch else None
    if not created:  # what was asked for is in the launch of then
        launch_id = accepted[0].launch_id if accepted else None
    return BatchAnswer(
        accepted=len(accepted),
        rejected=len(results) - len(accepted),
        launch_id=launch_id,
        results=results,
    )


def _check_launch(launch: LaunchRequest | None) -> tuple[str, str | None] | None:
    if launch is None:
        return None
    if launch.id is not None and not _LAUNCH_ID.fullmatch(launch.id):
        raise InvalidField("launch.id", "must be 1 to 64 letters, digits, dots, dashes or underscores")
    if launch.name is not None:
        check_plain("launch.name", launch.name, _MAX_NAME_CHARS)
    return launch.id or new_id(), launch.name


def _accept(farm: Farm, asked: JobRequest) -> NewJob:
    job = accept(asked, new_id(), farm.local_root, farm.stream_hosts, farm.chunking)
    if farm.objects is not None and find_scenario(job.scenario).makes_folder:
        raise InvalidField("scenario", f"{job.scenario} makes a folder, and the media of this farm are objects")
    return job


def _judge(farm: Farm, raw: msgspec.Raw) -> NewJob | ProblemAnswer:
    try:
        return _accept(farm, JOB_DECODER.decode(raw))
    except ReelmillError as error:
        return describe_error(error)
    except msgspec.DecodeError as error:
        return read_decode_error(error, "the job")
    except RecursionError:
        return TOO_DEEP


def _find_missing_inputs(farm: Farm, jobs: Sequence[NewJob | ProblemAnswer]) -> list[InvalidField | None]:
    """For each job the reason why its input cannot be there. Only a look: the worker judges what it opens."""
    return [
        _missing_input(farm, job.parameters.input_file)
        if isinstance(job, NewJob) and job.parameters.input_file is not None
        else None
        for job in jobs
    ]


def _missing_input(farm: Farm, path: str) -> InvalidField | None:
    if farm.local_root is None:  # a question to a far store for each job of a batch: the attempt finds out
        return None
    place = farm.local_root / path
    try:
        if place.is_file():
            return None
        what = "is not a file" if place.exists() else "does not exist"
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
    return InvalidField("parameters.input", f"{path!r} {what} under the media root {farm.local_root}")


def _item(index: int, outcome: Answer | ProblemAnswer) -> BatchItemAnswer:
    if isinstance(outcome, Accepted):
        return BatchItemAnswer(index=index, status=201 if outcome.created else 200, job=answer_job(outcome.job))
    found = outcome if isinstance(outcome, ProblemAnswer) else describe_error(outcome)
    return BatchItemAnswer(index=index, status=found.status, problem=found)
