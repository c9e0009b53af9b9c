"""The programs of the simulated farm: real masters and real workers, each a process that may die at any moment."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reelmill.domain.capability import Capabilities
from reelmill.errors import StoreUnavailable
from reelmill.master.farm import Farm
from reelmill.master.master import background
from reelmill.master.metrics import Metrics
from reelmill.store.protocol import Store, Tx
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import Ffmpeg, Inventory
from tests.simulation.bus import SimulatedBus
from tests.simulation.encode import SimulatedAttempt
from tests.simulation.loop import Process
from tests.simulation.order import disorder

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

LEASE_SECONDS = 12.0
BEAT_SECONDS = 2.0


class StoreDoor(Store):
    """The one store as one master has it: words to it take time, and for a while it may refuse."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self.failed = world.store.failed
        self.doorbell = world.store.doorbell

    @property
    def place(self) -> str:
        return self._store.place

    def read_revision(self) -> str | None:
        return self._store.read_revision()

    async def start(self) -> None:
        """It is there."""

    async def stop(self) -> None:
        """It is the others' too."""

    async def write(self, work: Callable[[Tx], T], *, waits_for_no_row: bool = False) -> T:
        await self._travel()
        if waits_for_no_row:  # that is a claim
            work = self._watch_the_order(work)
        done = await self._store.write(work)
        await self._travel()
        return done

    async def read(self, work: Callable[[Tx], T]) -> T:
        await self._travel()
        return await self._store.read(work)

    async def _travel(self) -> None:
        """A refusal behind the commit is what a lost connection looks like: nobody knows whether it was done."""
        await asyncio.sleep(self._world.rng.random() * 0.01)
        if self._world.store_refuses:
            raise StoreUnavailable("the store does not answer")

    def _watch_the_order(self, work: Callable[[Tx], T]) -> Callable[[Tx], T]:
        def watched(tx: Tx) -> T:
            done = work(tx)
            self._world.violations += disorder(tx, done, self._world.capabilities)
            return done

        return watched


class MasterMachine:
    """A master without its HTTP server."""

    def __init__(self, world: World, name: str) -> None:
        self.process = Process(world.loop, name)
        self.farm = Farm(
            store=StoreDoor(world),
            bus=SimulatedBus(world.network, self.process),
            clock=world,
            policy=world.policy,
            rng=random.Random(f"{world.seed} {name}"),
            lease_seconds=LEASE_SECONDS,
            media_root=world.media_root,
            data_folder=world.media_root,
            metrics=Metrics(),
        )
        self.process.run(self._boot())

    async def _boot(self) -> None:
        for service in background(self.farm, None, alone=False):
            while True:
                try:
                    await service.start()
                    break
                except StoreUnavailable:
                    await asyncio.sleep(1)


class WorkerMachine:
    """A worker; with a new name, and a new id, each time that it is started."""

    def __init__(self, world: World, name: str, capabilities: Capabilities) -> None:
        self.process = Process(world.loop, name)
        self.capabilities = capabilities
        inventory = Inventory(
            capabilities, Ffmpeg(Path(sys.executable), "none"), {"h264": "libx264", "h265": "libx265"}, []
        )
        self.worker = Worker(
            SimulatedBus(world.network, self.process),
            inventory,
            SharedFolder(world.media_root),
            name=name,
            beat_seconds=BEAT_SECONDS,
            make_attempt=SimulatedAttempt,
        )
        self.is_ending = self.is_stopping = False
        self.process.run(self.worker.start())

    async def drain(self, patience: float) -> None:
        """Let it end its jobs, for so many seconds at most."""
        self.is_ending = True
        drain = self.process.run(self.worker.drain())
        await asyncio.wait({drain}, timeout=patience)

    async def stop(self) -> None:
        """Let it give back what it has, and leave."""
        self.is_stopping = True
        stop = self.process.run(self.worker.stop())
        await asyncio.wait({stop}, timeout=60)
        self.process.kill()
