"""The pruners: what ended long ago is forgotten, and no job's history grows for ever. Claims never wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from reelmill.master.farm import Farm
from reelmill.service import PeriodicService
from reelmill.store.protocol import Tx
from reelmill.store.retention import find_long, next_number, prune_ended, trim
from reelmill.store.transition import Rules

T = TypeVar("T")

log = structlog.get_logger()

PRUNE_SECONDS = 60.0
TRIM_SECONDS = 3600.0
_JOBS_AT_ONCE = 250
_LOOKED_AT_ONCE = 5000


class Pruner(PeriodicService):
    """Forgets jobs that ended longer than ``retention_seconds`` ago; with None it keeps them all."""

    def __init__(self, farm: Farm, retention_seconds: float | None) -> None:
        super().__init__(PRUNE_SECONDS)
        self._farm = farm
        self._retention_seconds = retention_seconds

    async def run_once(self) -> int:
        """Forget what is old by now; how many jobs."""
        if self._retention_seconds is None:
            return 0
        keep = self._retention_seconds
        pruned = 0
        while found := await _gently(self._farm, lambda tx, rules: prune_ended(tx, rules.now - keep, _JOBS_AT_ONCE)):
            pruned += found
            self._farm.metrics.pruned.inc(found)
            if found < _JOBS_AT_ONCE:
                break
        if pruned:
            log.info("jobs_pruned", jobs=pruned)
        return pruned


class Trimmer(PeriodicService):
    """Bounds the history and the logs of each job: a job can be paused, resumed and retried without end."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(TRIM_SECONDS)
        self._farm = farm

    async def run_once(self) -> int:
        """Look at every job once; how many rows went."""
        trimmed = behind = 0
        while (first := await self._farm.store.read(lambda tx, at=behind: next_number(tx, at))) is not None:
            behind = first + _LOOKED_AT_ONCE
            for number in await self._farm.store.read(lambda tx, at=first: find_long(tx, at, at + _LOOKED_AT_ONCE - 1)):
                trimmed += await _gently(self._farm, lambda tx, _rules, number=number: trim(tx, number))
        if trimmed:
            log.info("history_trimmed", rows=trimmed)
        return trimmed


async def _gently(farm: Farm, work: Callable[[Tx, Rules], T]) -> T:
    """Write, then rest for as long as that took: at most half of the writer's time goes into this."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    done = await farm.change(work)
    await asyncio.sleep(loop.time() - began)
    return done
