"""A node of a fleet that is only words: it beats, claims and reports as a worker does, and encodes nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid

import nats.errors
from drain import RESULT
from fleet_parts import FleetParts
from nats.aio.client import Client
from nats.aio.msg import Msg

from reelmill import __version__
from reelmill.bus.identity import Identity
from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import BEAT, CLAIM, REPORT, Beat, Claim
from reelmill.domain.attempt import AttemptKey, AttemptReport, Offer, Progress
from reelmill.domain.capability import Capabilities
from reelmill.domain.lifecycle import Publish, Settle, Start
from reelmill.domain.node import NodeInfo

_BEAT_SECONDS = 2.0
_BEAT_SECONDS_TO_ANSWER = 3.0
_ANSWER_SECONDS = 5.0
_REPORT_SECONDS = 10.0
_CLAIM_WAIT = 20.0
"""As those of workers."""


class Timings:
    """Seconds that the answers took, and how much was done. ``reached`` is set with the goal."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self.claims: list[float] = []
        self.unanswered = 0
        self.completed = 0
        self.goal = 0
        self.reached = asyncio.Event()


class _Voice(MemoryBus):
    """One node's share of a connection: questions under its own name, answered to its own inbox as masters demand."""

    def __init__(self, client: Client, me: Identity) -> None:
        super().__init__()
        self._client = client
        self._me = me
        self._open: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count()

    async def start(self) -> None:
        await self._client.subscribe(f"{self._me.inbox}.*", cb=self._hear)  # pyright: ignore[reportUnknownMemberType]

    async def _hear(self, answer: Msg) -> None:
        asked = self._open.get(answer.subject)
        if asked is not None and not asked.done():
            asked.set_result(answer)

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        reply = f"{self._me.inbox}.{next(self._numbers)}"
        answered = self._open[reply] = asyncio.get_running_loop().create_future()
        try:
            await self._client.publish(self._me.says(subject), word, reply=reply)
            async with asyncio.timeout(timeout_seconds):
                answer = await answered
        except (nats.errors.Error, OSError, TimeoutError):
            return None
        finally:
            del self._open[reply]
        return None if answer.headers else answer.data


class SimulatedNode:
    """Its engine takes no time: what it is granted has started, ended and is to be published at once."""

    def __init__(self, client: Client, role: str, number: int, units: int) -> None:
        self._capabilities = Capabilities(units, {"ffmpeg": ["h264"]})
        node_id = str(uuid.uuid4())
        self._bus = _Voice(client, Identity(role, node_id))
        self._info, _ = self.like(node_id, f"simulated-{number}")
        self._held: set[AttemptKey] = set()
        self._claims = 0
        self._pause = 0.0
        self.timings = Timings()

    def like(self, node_id: str, name: str) -> tuple[NodeInfo, Capabilities]:
        """What a node of that name, and else like this one, tells of itself."""
        return NodeInfo(node_id, name, self._capabilities, __version__, time.time()), self._capabilities

    async def register(self) -> None:
        """Beat until a master has heard it."""
        await self._bus.start()
        while not await self._beat():
            pass

    async def beat_forever(self) -> None:
        """At a moment of its own in each interval."""
        await asyncio.sleep(random.random() * _BEAT_SECONDS)
        while True:
            await self._beat()
            await asyncio.sleep(max(_BEAT_SECONDS, self._pause))

    async def _beat(self) -> bool:
        started = time.perf_counter()
        holding = [Progress(key) for key in self._held]
        answer = await BEAT.ask(self._bus, Beat(self._info, holding), _BEAT_SECONDS_TO_ANSWER)
        if answer is None:
            self.timings.unanswered += 1
            return False
        self.timings.beats.append(time.perf_counter() - started)
        self._held -= set(answer.drop)
        self._pause = answer.pause_seconds
        return True

    async def work_forever(self) -> None:
        """Claim as often as it can."""
        while True:
            await self.work_once(self._capabilities.units)

    async def work_once(self, units: int) -> int:
        """One claim, and what comes of it; how many jobs."""
        keys = await self._claim(units)
        await self._report([AttemptReport(key, self._info.id, event) for key in keys for event in _STEPS])
        verdicts = await self._report([AttemptReport(key, self._info.id, Publish()) for key in keys])
        self._held -= set(keys)
        self.timings.completed += sum(verdicts)
        if self.timings.completed >= self.timings.goal:
            self.timings.reached.set()
        return len(keys)

    async def take_and_hold(self) -> AttemptKey:
        """One job that it keeps, whatever comes."""
        await self._bus.start()
        while not (keys := await self._claim(1)):
            pass
        return keys[0]

    async def _claim(self, units: int) -> list[AttemptKey]:
        self._claims += 1
        offer = Offer(self._info.id, self._info.name, self._capabilities, units)
        started = time.perf_counter()
        grants = await CLAIM.ask(self._bus, Claim(offer, _CLAIM_WAIT, self._claims), _CLAIM_WAIT + _ANSWER_SECONDS)
        if grants:
            self.timings.claims.append(time.perf_counter() - started)
        keys = [grant.key for grant in grants or ()]
        self._held |= set(keys)
        return keys

    async def _report(self, reports: list[AttemptReport]) -> list[bool]:
        """Until a master has answered, as workers do."""
        verdicts: list[bool] | None = None if reports else []
        while verdicts is None:
            verdicts = await REPORT.ask(self._bus, reports, _REPORT_SECONDS)
        return verdicts


_STEPS = (Start(), Settle(RESULT))


async def connect(parts: FleetParts) -> Client:
    """A connection that may speak for everybody."""
    client, place = Client(), parts.bus
    servers = [f"nats://{host}" for host in place.hosts]
    await client.connect(servers, name="simulation", user=place.user, password=place.password)
    return client


def simulated_nodes(clients: list[Client], role: str, count: int, units: int) -> list[SimulatedNode]:
    """So many, spread over the connections; ``role`` is the id of a token that counts."""
    return [SimulatedNode(clients[number % len(clients)], role, number, units) for number in range(count)]
