"""What a worker does over and over, as often as a master lets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from reelmill.service import PeriodicService


class Rounds(PeriodicService):
    """Something that the worker does every ``interval`` seconds."""

    def __init__(self, name: str, do: Callable[[], Awaitable[None]], interval: float) -> None:
        super().__init__(interval)
        self.name = name
        self._do = do
        self._pause = 0.0

    def pause_at_least(self, seconds: float) -> None:
        """From now on no round follows another sooner, unless somebody wakes it."""
        self._pause = seconds

    def patience(self) -> float:
        return max(self._interval, self._pause)

    async def run_once(self) -> None:
        await self._do()
