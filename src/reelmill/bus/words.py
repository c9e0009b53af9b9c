"""The words on the bus: which subject, what is said, what is answered.

| word          | from → to                | answer                                             |
|---------------|--------------------------|----------------------------------------------------|
| claim         | worker → any master      | grants; parked until there are some                |
| claim.room    | worker → every master    | (told) a parked claim's node has more room now     |
| beat          | worker → any master      | leases renewed, what to drop, pause and publish    |
| report        | worker → any master      | which of the reports count                         |
| garbage       | worker → any master      | which of these attempts nobody will ask for again  |
| goodbye       | worker → any master      | (empty)                                            |
| gone          | master → every master    | (told) a worker left: its parked claim is void     |
| node.ID       | master → one worker      | (told) an attempt to drop, to pause or to resume   |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from reelmill.bus.protocol import Bus, Subscription
from reelmill.domain.attempt import AttemptKey, AttemptOrder, AttemptReport, BeatAnswer, Grant, Offer, Progress
from reelmill.domain.node import NodeInfo

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
Told = TypeVar("Told")

_encode = msgspec.msgpack.Encoder().encode


class Question(Generic[Asked, Answered]):
    """A typed request-reply on one subject."""

    def __init__(self, subject: str, asked: type[Asked], answered: type[Answered]) -> None:
        self.subject = subject
        self._asked = msgspec.msgpack.Decoder(asked)
        self._answered = msgspec.msgpack.Decoder(answered)

    async def ask(self, bus: Bus, question: Asked, timeout_seconds: float) -> Answered | None:
        """The answer; None when none came in time."""
        answer = await bus.request(self.subject, _encode(question), timeout_seconds)
        return None if answer is None else self._answered.decode(answer)

    async def answer(self, bus: Bus, handler: Callable[[Asked], Awaitable[Answered]]) -> Subscription:
        """Answer with what ``handler`` returns."""

        async def handle(word: bytes) -> bytes:
            return _encode(await handler(self._asked.decode(word)))

        return await bus.answer(self.subject, handle)


class Notice(Generic[Told]):
    """A typed word to whoever listens on one subject."""

    def __init__(self, subject: str, told: type[Told]) -> None:
        self.subject = subject
        self._told = msgspec.msgpack.Decoder(told)

    async def tell(self, bus: Bus, word: Told) -> None:
        """Say it; nobody may hear."""
        await bus.publish(self.subject, _encode(word))

    async def listen(self, bus: Bus, listener: Callable[[Told], Awaitable[None]]) -> Subscription:
        """Call ``listener`` with every word from now on."""

        async def hear(word: bytes) -> None:
            await listener(self._told.decode(word))

        return await bus.listen(self.subject, hear)


class Claim(msgspec.Struct, frozen=True):
    """A worker asks for jobs, and waits up to ``wait_seconds`` for one. ``number`` rises with each of its claims."""

    offer: Offer
    wait_seconds: float
    number: int = 0


class Room(msgspec.Struct, frozen=True):
    """The worker whose claim of that number may be parked has ``free_units`` now, ``live_units`` of its used ones live.

    A late word about an older claim must not change a newer one, which knew better.
    """

    node_id: str
    free_units: int
    live_units: int = 0
    number: int = 0


class Beat(msgspec.Struct, frozen=True):
    """A worker is alive and holds these attempts."""

    node: NodeInfo
    held: list[Progress]


CLAIM = Question("claim", Claim, list[Grant])
ROOM = Notice("claim.room", Room)
BEAT = Question("beat", Beat, BeatAnswer)
REPORT = Question("report", list[AttemptReport], list[bool])
GARBAGE = Question("garbage", list[AttemptKey], list[AttemptKey])
GOODBYE = Question("goodbye", str, type(None))
GONE = Notice("gone", str)


def order_notice(node_id: str) -> Notice[AttemptOrder]:
    """The word to one node that an attempt does not count any more, or is to stand still or go on.

    It only saves waiting for the next beat, whose answer is what counts.
    """
    return Notice(f"node.{node_id}", AttemptOrder)
