"""The intake: jobs that are submitted one by one at the same time are stored together, in one statement and commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from reelmill.domain.job import NewJob
from reelmill.errors import Conflict
from reelmill.master.farm import Farm
from reelmill.store.protocol import Tx
from reelmill.store.submit import Accepted, insert_jobs
from reelmill.store.transition import Rules

_AT_ONCE = 256
_BATCHES_AT_ONCE = 2
"""One is unpacked while another is stored; each needs some 20 MB for 10,000 jobs."""


class _Waiting(NamedTuple):
    job: NewJob
    answer: asyncio.Future[Accepted | Conflict]


class Intake:
    """While one group is being committed the next one gathers, so a busy farm stores larger groups, not slower ones."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._waiting: list[_Waiting] = []
        self._storing: asyncio.Task[None] | None = None
        self.batches = asyncio.Semaphore(_BATCHES_AT_ONCE)
        """What a batch must hold while it is unpacked, stored and answered; the others wait as bytes."""

    async def submit(self, job: NewJob) -> Accepted | Conflict:
        """The store's answer, after its durable commit; StoreUnavailable when there was none."""
        answer: asyncio.Future[Accepted | Conflict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(job, answer))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all(), name="intake")
        return await answer

    async def _store_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            await self._store(group)
        self._storing = None

    async def _store(self, group: list[_Waiting]) -> None:
        answers: Sequence[Accepted | Conflict | Exception]
        try:
            answers = await self._farm.change_together([waiting.job for waiting in group], _insert)
        except Exception as error:
            answers = [error] * len(group)
        for waiting, answer in zip(group, answers, strict=True):
            if waiting.answer.done():  # nobody waits any more
                continue
            if isinstance(answer, Exception) and not isinstance(answer, Conflict):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        created = sum(isinstance(answer, Accepted) and answer.created for answer in answers)
        self._farm.metrics.submitted.inc(created)


def _insert(tx: Tx, jobs: Sequence[NewJob], rules: Rules) -> Sequence[Accepted | Conflict]:
    return insert_jobs(tx, jobs, rules.now)
