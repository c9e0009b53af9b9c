"""Sessions of hardware encoders: no more encodes at once on each kind of device than the operator allows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from reelmill.domain.encoder import device_family
from reelmill.domain.failure import Failure
from reelmill.media.failed import AttemptFailed


class Sessions:
    """``limits`` says how many encodes a family of devices (such as ``nvenc``) may do at once; others have no limit."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = dict(limits)
        self._queues: dict[str, list[asyncio.Event]] = {family: [] for family in limits}

    @contextlib.asynccontextmanager
    async def hold(self, encoder: str, *, waits: bool) -> AsyncGenerator[None, None]:
        """A session of that encoder for the length of the block; software needs none.

        When none is free the block ``waits`` for its turn, first come first served, or AttemptFailed is raised.
        """
        family = device_family(encoder)
        if family is None or family not in self._limits:
            yield
            return
        queue = self._queues[family]
        if not waits and len(queue) >= self._limits[family]:
            raise AttemptFailed(_all_in_use(family, self._limits[family]))
        turn = asyncio.Event()
        queue.append(turn)
        self._call_next(family)
        try:
            await turn.wait()
            yield
        finally:
            queue.remove(turn)
            self._call_next(family)

    def _call_next(self, family: str) -> None:
        for turn in self._queues[family][: self._limits[family]]:
            turn.set()


UNLIMITED_SESSIONS = Sessions({})


def _all_in_use(family: str, limit: int) -> Failure:
    sessions = "The one session" if limit == 1 else f"All {limit} sessions"
    message = f"{sessions} of {family} that this node may use at once are in use; `--hardware-sessions` allows more."
    return Failure("resource_error", "encoder_busy", message)
