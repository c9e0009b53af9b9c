"""The words on the bus: which subject, what is said, what is answered.

| word          | from → to                | answer                                             |
|---------------|--------------------------|----------------------------------------------------|
| claim         | worker → any master      | grants; parked until there are some                |
| claim.room    | worker → every master    | (told) a parked claim's node has more room now     |
| beat          | worker → any master      | leases renewed, what to drop, pause and publish    |
| report        | worker → any master      | which of the reports count                         |
| garbage       | worker → any master      | which of these attempts nobody will ask for again  |
| media.links   | worker → any master      | fresh links to the media of an attempt that counts |
| goodbye       | worker → any master      | (empty)                                            |
| gone          | master → every master    | (told) a worker left: its parked claim is void     |
| masters.left  | master → every worker    | (told) a master left: who waits for one asks anew  |
| masters.tokens| master → every master    | (told) tokens were made or revoked                 |
| node.ID       | master → one worker      | (told) an attempt to drop, to pause or to resume   |
| ping.ID       | master → one worker      | true                                               |
| check.ID      | master → one worker      | whether it reads and writes its place of media     |
| live          | worker → every master    | (told) how far its attempts are, what engines said |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

import msgspec

from reelmill.bus.protocol import Bus, Sender, Subscription
from reelmill.domain.attempt import (
    AttemptKey,
    AttemptOrder,
    AttemptReport,
    BeatAnswer,
    Grant,
    MediaLinks,
    Offer,
    Progress,
)
from reelmill.domain.node import NodeInfo
from reelmill.domain.place import PlaceCheck, PlaceTrial
from reelmill.errors import Forbidden

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
Told = TypeVar("Told")

_encode = msgspec.msgpack.Encoder().encode


Speakers = Callable[[Told], Collection[str]]
"""The ids of the nodes that a word speaks for."""


def _nobody(_word: object) -> Collection[str]:
    return ()


class Question(Generic[Asked, Answered]):
    """A typed request-reply on one subject. Who asks may speak only for itself, where the bus knows who that is."""

    def __init__(
        self, subject: str, asked: type[Asked], answered: type[Answered], speakers: Speakers[Asked] = _nobody
    ) -> None:
        self.subject = subject
        self._speakers = speakers
        self._asked = msgspec.msgpack.Decoder(asked)
        self._answered = msgspec.msgpack.Decoder(answered)

    async def ask(self, bus: Bus, question: Asked, timeout_seconds: float) -> Answered | None:
        """The answer; None when none came in time."""
        answer = await bus.request(self.subject, _encode(question), timeout_seconds)
        return None if answer is None else self._answered.decode(answer)

    async def answer(self, bus: Bus, handler: Callable[[Asked], Awaitable[Answered]]) -> Subscription:
        """Answer with what ``handler`` returns."""

        async def handle(word: bytes, sender: Sender) -> bytes:
            asked = self._asked.decode(word)
            _check_sender(self.subject, sender, self._speakers(asked))
            return _encode(await handler(asked))

        return await bus.answer(self.subject, handle)


class Notice(Generic[Told]):
    """A typed word to whoever listens on one subject; who tells it may speak only for itself."""

    def __init__(self, subject: str, told: type[Told], speakers: Speakers[Told] = _nobody) -> None:
        self.subject = subject
        self._speakers = speakers
        self._told = msgspec.msgpack.Decoder(told)

    async def tell(self, bus: Bus, word: Told) -> None:
        """Say it; nobody may hear."""
        await bus.publish(self.subject, _encode(word))

    async def listen(self, bus: Bus, listener: Callable[[Told], Awaitable[None]]) -> Subscription:
        """Call ``listener`` with every word from now on."""

        async def hear(word: bytes, sender: Sender) -> None:
            told = self._told.decode(word)
            _check_sender(self.subject, sender, self._speakers(told))
            await listener(told)

        return await bus.listen(self.subject, hear)


def _check_sender(subject: str, sender: Sender, speakers: Collection[str]) -> None:
    strangers = [speaker for speaker in speakers if sender is not None and speaker != sender]
    if strangers:
        raise Forbidden(f"{sender} may not say {subject!r} for {strangers[0][:80]!r}")


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


class LinksWanted(msgspec.Struct, frozen=True):
    """A worker that holds this attempt, or is to publish it, needs its media over HTTP."""

    node_id: str
    key: AttemptKey


class LogLines(msgspec.Struct, frozen=True):
    """What the engine of an attempt said in the last second; ``left_out`` more lines were too many."""

    key: AttemptKey
    lines: list[str]
    left_out: int


class Live(msgspec.Struct, frozen=True):
    """What changed on a node in the last second, for whoever watches; nothing depends on it."""

    node_id: str
    progress: list[Progress]
    lines: list[LogLines]


CLAIM = Question("claim", Claim, list[Grant], lambda claim: [claim.offer.node_id])
ROOM = Notice("claim.room", Room, lambda room: [room.node_id])
BEAT = Question("beat", Beat, BeatAnswer, lambda beat: [beat.node.id])
REPORT = Question("report", list[AttemptReport], list[bool], lambda reports: [report.node_id for report in reports])
GARBAGE = Question("garbage", list[AttemptKey], list[AttemptKey])
LINKS = Question("media.links", LinksWanted, list[MediaLinks], lambda wanted: [wanted.node_id])
GOODBYE = Question("goodbye", str, type(None), lambda node_id: [node_id])
GONE = Notice("gone", str)
LIVE = Notice("live", Live, lambda live: [live.node_id])
MASTER_LEFT = Notice("masters.left", str)
TOKENS = Notice("masters.tokens", type(None))
WORKER_SAYS = tuple(word.subject for word in (CLAIM, ROOM, BEAT, REPORT, GARBAGE, LINKS, GOODBYE, LIVE))
"""The subjects on which a worker may speak."""


def worker_hears(node_id: str) -> tuple[str, ...]:
    """The subjects on which the worker of that node may listen, and be asked."""
    questions = (ping_question(node_id), check_question(node_id))
    return (order_notice(node_id).subject, *(question.subject for question in questions), MASTER_LEFT.subject)


def ping_question(node_id: str) -> Question[None, bool]:
    """Whether the node's worker is there: it answers at once, and nobody else does."""
    return Question(f"ping.{node_id}", type(None), bool)


def check_question(node_id: str) -> Question[PlaceCheck, PlaceTrial]:
    """Whether the node's worker reads and writes its place of media; one of an older version does not answer."""
    return Question(f"check.{node_id}", PlaceCheck, PlaceTrial)


def order_notice(node_id: str) -> Notice[AttemptOrder]:
    """The word to one node that an attempt does not count any more, or is to stand still or go on.

    It only saves waiting for the next beat, whose answer is what counts.
    """
    return Notice(f"node.{node_id}", AttemptOrder)
