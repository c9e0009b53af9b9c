"""The intake: jobs that are submitted one by one at the same time are stored together, in one statement and commit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from reelmill.domain.job import NewJob
from reelmill.errors import Conflict, Full
from reelmill.master.farm import Farm
from reelmill.store.protocol import Tx
from reelmill.store.room import drain_rate
from reelmill.store.submit import Accepted, Answer, insert_jobs
from reelmill.store.transition import Rules

_AT_ONCE = 256
_BATCHES_AT_ONCE = 2
"""One is unpacked while another is stored; each needs some 20 MB for 10,000 jobs."""


_LATELY_SECONDS = 30.0
_LONGEST_WAIT = 30
_RATE_HOLDS_SECONDS = 1.0
"""How long a rate that was looked up is good for: many may be refused at once."""


class _Waiting(NamedTuple):
    job: NewJob
    answer: asyncio.Future[Answer]


class _Rate(NamedTuple):
    """How many jobs a second left a place, as it was at a moment."""

    jobs: float
    at: float


class Intake:
    """While one group is being committed the next one gathers, so a busy farm stores larger groups, not slower ones."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._waiting: list[_Waiting] = []
        self._storing: asyncio.Task[None] | None = None
        self._rates: dict[tuple[str, str], _Rate] = {}
        self.batches = asyncio.Semaphore(_BATCHES_AT_ONCE)
        """What a batch must hold while it is unpacked, stored and answered; the others wait as bytes."""

    async def submit(self, job: NewJob) -> Answer:
        """The store's answer, after its durable commit; StoreUnavailable when there was none."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(job, answer))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all(), name="intake")
        return await answer

    async def guess_wait(self, full: Full) -> None:
        """Put into a refusal when there may be room: what is too much, at the pace of the last half minute."""
        self._farm.metrics.refused.inc(full.asked)
        now = self._farm.clock.now()
        place = (full.kind, full.name)
        rate = self._rates.get(place)
        if rate is None or not 0 <= now - rate.at < _RATE_HOLDS_SECONDS:
            found = await self._farm.store.read(lambda tx: drain_rate(tx, *place, now, _LATELY_SECONDS))
            rate = self._rates[place] = _Rate(found, now)
        too_many = max(1, full.waiting + full.asked - full.limit)
        full.retry_after = max(1, min(_LONGEST_WAIT, math.ceil(too_many / max(rate.jobs, 1e-9))))

    async def _store_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            await self._store(group)
        self._storing = None

    async def _store(self, group: list[_Waiting]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._farm.change_together([waiting.job for waiting in group], self._insert)
        except Exception as error:
            answers = [error] * len(group)
        for waiting, answer in zip(group, answers, strict=True):
            if waiting.answer.done():  # nobody waits any more
                continue
            if isinstance(answer, Exception) and not isinstance(answer, Conflict | Full):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        created = sum(isinstance(answer, Accepted) and answer.created for answer in answers)
        self._farm.metrics.submitted.inc(created)

    def _insert(self, tx: Tx, jobs: Sequence[NewJob], rules: Rules) -> Sequence[Answer]:
        return insert_jobs(tx, jobs, rules.now, max_queued=self._farm.max_queued)
