"""An attempt that a worker holds, and the fence that ends it when its lease is not renewed."""

from __future__ import annotations

import asyncio

import structlog

from reelmill.worker.attempt import Attempt

log = structlog.get_logger()


class Held:
    """An attempt under way, and the moment at which its own worker ends it unless its lease was renewed."""

    def __init__(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        self.attempt = attempt
        self.task = task
        self.ordered_at = 0.0
        """When a master last sent an order about it (on the loop's clock)."""
        self._fence: asyncio.TimerHandle | None = None

    def fence(self, when: float) -> None:
        """Set, or move, that moment (on the loop's clock)."""
        self.unfence()
        self._fence = asyncio.get_running_loop().call_at(when, self._end)

    def unfence(self) -> None:
        """The attempt is over."""
        if self._fence is not None:
            self._fence.cancel()

    def _end(self) -> None:
        if not self.attempt.awaits_verdict:  # what was reported already is judged by the store
            key = self.attempt.grant.key
            log.warning("lease_not_renewed", job=key.job_id, attempt=key.attempt)
            self.task.cancel()
