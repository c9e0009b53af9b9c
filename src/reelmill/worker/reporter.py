"""The reporter: brings what happened to attempts to a master, in order, until a master has said that it knows."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import NamedTuple

import structlog

from reelmill.bus.protocol import Bus
from reelmill.bus.words import REPORT
from reelmill.domain.attempt import AttemptReport
from reelmill.errors import WordTooLarge
from reelmill.service import Service

log = structlog.get_logger()

_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.5
_AT_ONCE = 256
_LOG_CHARACTERS = 256 * 1024
"""Of logs in one word, which then fits on every bus whatever their alphabet."""
_FLUSH_SECONDS = 5.0


class _Unsent(NamedTuple):
    report: AttemptReport
    verdict: asyncio.Future[bool]


class Reporter(Service):
    """One request at a time carries all that waits, so reports keep their order and share the master's commit."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[_Unsent] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="reporter")

    async def stop(self) -> None:
        """Bring what still waits, for a few seconds at most."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.warning("reports_unsent", count=len(self._waiting))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def send(self, report: AttemptReport) -> asyncio.Future[bool]:
        """Queue the report; the future tells whether the store let it count, however long that takes."""
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Unsent(report, verdict))
        self._idle.clear()
        self._work.set()
        return verdict

    async def _run(self) -> None:
        at_once = _AT_ONCE
        while True:
            await self._work.wait()
            batch = self._next_batch(at_once)
            try:
                verdicts = await REPORT.ask(self._bus, [unsent.report for unsent in batch], _ANSWER_SECONDS)
            except Exception as error:  # too much for one word, or one that cannot be said: let the others pass
                _complain(error, batch)
                at_once = max(1, len(batch) // 2)
                if len(batch) > 1:
                    continue
                verdicts = [False]
            else:
                at_once = min(2 * at_once, _AT_ONCE) if verdicts is not None else at_once
            if verdicts is None:  # it may have been heard all the same: a repeat counts once
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._settle(batch, verdicts)

    def _next_batch(self, most: int) -> list[_Unsent]:
        """The first that wait, with logs that fit into one word; at least one."""
        batch: list[_Unsent] = []
        room = _LOG_CHARACTERS
        for unsent in itertools.islice(self._waiting, most):
            words = unsent.report.log
            room -= len(words.command) + len(words.text) if words is not None else 0
            if batch and room < 0:
                break
            batch.append(unsent)
        return batch

    def _settle(self, batch: list[_Unsent], verdicts: list[bool]) -> None:
        for unsent, verdict in zip(batch, verdicts, strict=True):
            self._waiting.popleft()
            if not unsent.verdict.done():
                unsent.verdict.set_result(verdict)
        if not self._waiting:
            self._work.clear()
            self._idle.set()


def _complain(error: Exception, batch: list[_Unsent]) -> None:
    """Several go in parts; of a single one it must be known which it was."""
    key = batch[0].report.key
    if isinstance(error, WordTooLarge) and len(batch) > 1:
        log.info("reports_split", count=len(batch), reason=str(error))
    elif isinstance(error, WordTooLarge):
        log.error("report_too_large", job=key.job_id, attempt=key.attempt, reason=str(error))
    else:
        log.error("report_failed", count=len(batch), job=key.job_id, exc_info=error)
