"""Listening to the events of a master, as a test does it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from reelmill.launcher.client import MasterClient
from reelmill.launcher.event_stream import Event, read_events

PATIENCE = 15.0


class Ear:
    """One open stream; ``next`` waits for the next event that says something."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events
        self.last: int | None = None

    async def next(self) -> Event:
        async with asyncio.timeout(PATIENCE):
            async for event in self._events:
                self.last = self.last if event.id is None else event.id
                if event.kind:
                    return event
        raise EOFError

    async def steps(self, count: int) -> list[tuple[int, str]]:
        """The jobs and what they became, of the next events."""
        found = [(await self.next()).data for _ in range(count)]
        return [(data["sequence_number"], data["to_status"]) for data in found]


@contextlib.asynccontextmanager
async def listening(url: str, last: int | None = None, **wanted: str | int) -> AsyncGenerator[Ear, None]:
    """A stream that everything which happens within the block is heard on."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with MasterClient(url) as client:
        pieces = client.stream("/events", params=wanted, headers=headers)
        async with contextlib.aclosing(pieces), contextlib.aclosing(read_events(pieces)) as events:
            ear = Ear(events)
            if last is None and "since" not in wanted:
                async with asyncio.timeout(PATIENCE):
                    ear.last = (await anext(events)).id
            yield ear
