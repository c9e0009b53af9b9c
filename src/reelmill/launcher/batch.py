"""The jobs of a plan as they are sent: each with a key that says which job of which launch it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from reelmill.launcher.plan import JobPayload

MAX_BODY_BYTES = 6_000_000
"""The master takes 8 MB; a batch of jobs with very long paths ends early."""


class PlannedJob(msgspec.Struct, frozen=True):
    """A job on its way; ``body`` is its JSON with the idempotency key."""

    index: int
    payload: JobPayload
    key: str
    body: bytes


def key_jobs(jobs: Iterable[JobPayload], launch_id: str) -> Iterator[PlannedJob]:
    """Give each job its key: launch, place and content. The same job of the same launch has the same key, always."""
    encode = msgspec.json.Encoder().encode
    for index, payload in enumerate(jobs):
        body = encode(payload)
        key = f"{launch_id}:{index}:{hashlib.blake2b(body, digest_size=8).hexdigest()}"
        yield PlannedJob(index, payload, key, b'%b,"idempotency_key":"%b"}' % (body[:-1], key.encode()))


def encode_batch(launch_id: str, name: str | None, jobs: Sequence[PlannedJob]) -> bytes:
    """The body of ``POST /jobs/batch``."""
    launch = msgspec.json.encode({"id": launch_id, "name": name})
    return b'{"launch":%b,"jobs":[%b]}' % (launch, b",".join(job.body for job in jobs))


class Queue:
    """The jobs that are still to be sent, taken in order and in pieces; looking ahead takes none away."""

    def __init__(self, jobs: Iterable[PlannedJob], settled: bytearray) -> None:
        self._jobs = (job for job in jobs if not settled[job.index])
        self._next = next(self._jobs, None)

    def __bool__(self) -> bool:
        return self._next is not None

    def has_before(self, end: int) -> bool:
        """Whether the next job is one before the place ``end``."""
        return self._next is not None and self._next.index < end

    def take(self, most: int, end: int) -> list[PlannedJob]:
        """Up to ``most`` jobs before the place ``end``; fewer when together they would be more than a master takes."""
        batch: list[PlannedJob] = []
        length = 0
        while (job := self._next) is not None and len(batch) < most and job.index < end:
            length += len(job.body) + 1
            if batch and length > MAX_BODY_BYTES:
                break
            batch.append(job)
            self._next = next(self._jobs, None)
        return batch
