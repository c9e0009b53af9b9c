"""What every bus offers: ask and be answered, tell, listen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from reelmill.service import Service

Sender = str | None
"""Who said a word: the id of a node or a master for which the bus vouches; None on a bus within one process."""
Handler = Callable[[bytes, Sender], Awaitable[bytes]]
Listener = Callable[[bytes, Sender], Awaitable[None]]


class Subscription(Protocol):
    """A handler or listener that can be taken away again."""

    async def close(self) -> None: ...


class Bus(Service, Protocol):
    """Words on named subjects. Any word may be lost, doubled, late or out of order."""

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        """Ask whoever answers on the subject; None when no answer came in time, for whatever reason.

        No answer says nothing about whether the request was acted upon. WordTooLarge when the bus cannot carry it.
        """
        ...

    async def publish(self, subject: str, word: bytes) -> None:
        """Tell everyone who listens now; nobody may."""
        ...

    async def answer(self, subject: str, handler: Handler) -> Subscription:
        """Answer requests on the subject; of several who answer, each request reaches one. A failure is silence."""
        ...

    async def listen(self, subject: str, listener: Listener) -> Subscription:
        """Hear every word published on the subject from now on."""
        ...


class Departed(NamedTuple):
    """A connection to a bus that ended. Its owner may have come back already."""

    id: str
    is_master: bool


class Departures(Protocol):
    """Tells, where a bus knows it, whose connections end."""

    async def watch(self, on_departure: Callable[[Departed], Awaitable[None]]) -> Subscription:
        """Call ``on_departure``, in one of the masters, for each that ends from now on; some are missed."""
        ...
