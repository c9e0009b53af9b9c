"""Submitting a plan, batch by batch: each job exactly once, whatever the network does."""

from __future__ import annotations

import asyncio
import hashlib
import time
from array import array
from collections.abc import Iterable, Iterator

import msgspec

from reelmill.errors import ReelmillError, Unavailable
from reelmill.launcher.answers import BatchAnswer, ItemAnswer
from reelmill.launcher.client import MasterClient, pause
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.plan import JobPayload, plan_jobs
from reelmill.launcher.progress import Bar, Display
from reelmill.launcher.results import JobEntry, ResultsFile

_MAX_BODY_BYTES = 6_000_000
"""The master takes 8 MB; a batch of jobs with very long paths ends early."""

UNHEARD = "no answer was heard; the job may have been accepted"


class PlannedJob(msgspec.Struct, frozen=True):
    """A job on its way; ``body`` is its JSON with the idempotency key."""

    index: int
    payload: JobPayload
    key: str
    body: bytes


class Submission(msgspec.Struct):
    """What came of a launch so far. ``latencies`` are seconds per batch, with its retries."""

    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    seconds: float = 0.0
    latencies: array[float] = msgspec.field(default_factory=lambda: array("d"))
    first_error: str | None = None
    failure: ReelmillError | None = None

    @property
    def submitted(self) -> int:
        return self.accepted + self.rejected + self.unknown


def key_jobs(jobs: Iterable[JobPayload], launch_id: str) -> Iterator[PlannedJob]:
    """Give each job its key: launch, place and content. The same job of the same launch has the same key, always."""
    encode = msgspec.json.Encoder().encode
    for index, payload in enumerate(jobs):
        body = encode(payload)
        key = f"{launch_id}:{index}:{hashlib.blake2b(body, digest_size=8).hexdigest()}"
        yield PlannedJob(index, payload, key, b'%b,"idempotency_key":"%b"}' % (body[:-1], key.encode()))


def make_batches(jobs: Iterable[PlannedJob], size: int) -> Iterator[list[PlannedJob]]:
    """Lists of up to ``size`` jobs, in order; shorter when the body would grow too large."""
    batch: list[PlannedJob] = []
    length = 0
    for job in jobs:
        if len(batch) == size or (batch and length + len(job.body) > _MAX_BODY_BYTES):
            yield batch
            batch, length = [], 0
        batch.append(job)
        length += len(job.body) + 1
    if batch:
        yield batch


async def submit_launch(
    options: LaunchOptions,
    client: MasterClient,
    results: ResultsFile | None,
    display: Display,
    stop: asyncio.Event,
    submission: Submission,
) -> None:
    """Submit every job of the plan, until ``stop``, and keep count in ``submission``.

    The batch in flight is always finished, except when cancelled. An error that ends the launch is kept in
    ``submission.failure``: what was submitted before it counts.
    """
    launch = msgspec.json.encode({"id": options.launch_id, "name": options.name})
    batches = make_batches(key_jobs(plan_jobs(options.plan), options.launch_id), options.batch_size)
    start = time.monotonic()
    with display.bar("submitting", options.plan.count) as bar:
        for number, batch in enumerate(batches):
            if number and options.delay:
                await pause(options.delay, stop)
            if stop.is_set():
                break
            try:
                await _submit_batch(batch, launch, options, client, submission, results)
            finally:
                submission.seconds = time.monotonic() - start
            _report(number, batch, submission, display, bar)
            if submission.failure is not None:
                break


async def _submit_batch(
    batch: list[PlannedJob],
    launch: bytes,
    options: LaunchOptions,
    client: MasterClient,
    submission: Submission,
    results: ResultsFile | None,
) -> None:
    body = b'{"launch":%b,"jobs":[%b]}' % (launch, b",".join(job.body for job in batch))
    begin = time.monotonic()
    answers: list[ItemAnswer] | None = None
    try:
        answers = _match(await client.submit(body, options.patience), batch)
    except ReelmillError as error:
        submission.failure = error
    finally:  # also when cancelled: the entries of this batch are kept
        submission.latencies.append(time.monotonic() - begin)
        try:
            _record(batch, answers, options, submission, results)
        except ReelmillError as error:
            submission.failure = submission.failure or error


def _match(answer: BatchAnswer, batch: list[PlannedJob]) -> list[ItemAnswer]:
    if [item.index for item in answer.results] != list(range(len(batch))):
        raise Unavailable(f"the master answered {len(answer.results)} of {len(batch)} jobs of a batch")
    return answer.results


def _record(
    batch: list[PlannedJob],
    answers: list[ItemAnswer] | None,
    options: LaunchOptions,
    submission: Submission,
    results: ResultsFile | None,
) -> None:
    """Count every job of the batch, and then keep it: what was sent is sent, whether it can be written down or not."""
    entries: list[JobEntry] = []
    for place, job in enumerate(batch):
        answer = answers[place] if answers is not None else None
        if answer is not None and answer.job is not None:
            submission.accepted += 1
        elif answer is not None:
            submission.rejected += 1
            submission.first_error = submission.first_error or (answer.problem.detail if answer.problem else None)
        else:
            submission.unknown += 1
        entries.append(_make_entry(job, answer, options.launch_id))
    if results is not None:
        for entry in entries:
            results.add(entry)


def _make_entry(job: PlannedJob, answer: ItemAnswer | None, launch_id: str) -> JobEntry:
    problem = answer.problem if answer is not None else None
    accepted = answer.job if answer is not None else None
    return JobEntry(
        index=job.index,
        id=accepted.id if accepted else None,
        sequence_number=accepted.sequence_number if accepted else None,
        status=accepted.status if accepted else "rejected" if answer else "unknown",
        launch_id=launch_id,
        scenario=job.payload.scenario,
        engine=job.payload.engine,
        queue=job.payload.queue,
        priority=job.payload.priority,
        parameters=job.payload.parameters,
        idempotency_key=job.key,
        error=None if accepted else problem.detail if problem else UNHEARD,
        error_code=problem.code if problem else None,
        field=problem.field if problem else None,
    )


def _report(number: int, batch: list[PlannedJob], submission: Submission, display: Display, bar: Bar) -> None:
    bad = submission.rejected + submission.unknown
    bar.show(submission.submitted, f"{bad:,} rejected" if bad else "")
    milliseconds = submission.latencies[-1] * 1000
    first, last = batch[0].index + 1, batch[-1].index + 1
    display.say(f"batch {number + 1}: jobs {first} to {last} answered in {milliseconds:.0f} ms", "debug")
