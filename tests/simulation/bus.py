"""Words between processes that are lost, doubled, late and out of order, by seed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections import defaultdict
from typing import Any, NamedTuple

from reelmill.bus.protocol import Bus, Handler, Listener, Subscription
from reelmill.errors import StoreUnavailable
from tests.simulation.loop import Process, VirtualLoop


class Weather(NamedTuple):
    """How words fare: the chance of each to be lost, doubled, slow (up to 2 s) and very slow (up to 50 s)."""

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0
    very_slow: float = 0.0


FAIR = Weather()


class _Ear(NamedTuple):
    """One handler or listener of a process."""

    process: Process
    hear: Handler | Listener


class Network:
    """Between all processes; those that are ``cut`` off hear nothing and are not heard."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self.weather = FAIR
        self.cut: set[Process] = set()
        self.lost = self.doubled = 0
        self.handlers: defaultdict[str, list[_Ear]] = defaultdict(list)
        self.listeners: defaultdict[str, list[_Ear]] = defaultdict(list)
        self.loop = loop
        self.rng = rng

    def carry(self, sender: Process, hearer: Process, deliver: Any) -> None:
        """Call ``deliver`` in the process of the hearer: later, twice or never."""
        if self.rng.random() < self.weather.lost:
            self.lost += 1
            return
        times = 2 if self.rng.random() < self.weather.doubled else 1
        self.doubled += times - 1
        for _ in range(times):
            self.loop.call_later(self._delay(), self._arrive, sender, hearer, deliver, context=hearer.context.copy())

    def _arrive(self, sender: Process, hearer: Process, deliver: Any) -> None:
        if sender in self.cut or hearer in self.cut:
            self.lost += 1
        else:
            deliver()

    def _delay(self) -> float:
        draw = self.rng.random()
        if draw < self.weather.very_slow:
            return self.rng.random() * 50
        return self.rng.random() * (2 if draw < self.weather.very_slow + self.weather.slow else 0.01)


class SimulatedBus(Bus):
    """The bus as one process has it."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    async def start(self) -> None:
        """Nothing to prepare."""

    async def stop(self) -> None:
        """Nothing is kept."""

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        network = self._network
        ears = [ear for ear in network.handlers[subject] if not ear.process.is_dead]
        if not ears:
            return None
        answered: asyncio.Future[bytes | None] = network.loop.create_future()
        timer = network.loop.call_later(timeout_seconds, _settle, answered, None)
        ear = network.rng.choice(ears)

        def deliver() -> None:
            network.loop.create_task(self._answer(ear, word, answered))

        network.carry(self._process, ear.process, deliver)
        try:
            return await answered
        finally:
            timer.cancel()

    async def _answer(self, ear: _Ear, word: bytes, answered: asyncio.Future[bytes | None]) -> None:
        try:
            answer = await ear.hear(word, None)
        except StoreUnavailable:  # a failure is silence
            return
        self._network.carry(ear.process, self._process, lambda: _settle(answered, answer))

    async def publish(self, subject: str, word: bytes) -> None:
        for ear in self._network.listeners[subject]:
            if not ear.process.is_dead:
                self._network.carry(self._process, ear.process, functools.partial(self._tell, ear, word))

    def _tell(self, ear: _Ear, word: bytes) -> None:
        self._network.loop.create_task(self._hear(ear, word))

    async def _hear(self, ear: _Ear, word: bytes) -> None:
        with contextlib.suppress(StoreUnavailable):
            await ear.hear(word, None)

    async def answer(self, subject: str, handler: Handler) -> Subscription:
        return _Registration(self._network.handlers[subject], _Ear(self._process, handler))

    async def listen(self, subject: str, listener: Listener) -> Subscription:
        return _Registration(self._network.listeners[subject], _Ear(self._process, listener))


class _Registration:
    def __init__(self, ears: list[_Ear], ear: _Ear) -> None:
        self._ears = ears
        self._ear = ear
        ears.append(ear)

    async def close(self) -> None:
        if self._ear in self._ears:
            self._ears.remove(self._ear)


def _settle(answered: asyncio.Future[bytes | None], answer: bytes | None) -> None:
    if not answered.done():
        answered.set_result(answer)
