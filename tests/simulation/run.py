"""One run by its seed: build a farm, let the nemesis rage, let the farm recover, and read what is left."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import random
import sys
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from reelmill.domain.job import TERMINAL
from reelmill.store.listing import JobFilter, list_jobs
from tests.simulation.check import check
from tests.simulation.encode import SimulatedEngine, SimulatedProbe
from tests.simulation.log import ERRORS
from tests.simulation.loop import Deadlock, VirtualLoop
from tests.simulation.nemesis import calm_down, rage
from tests.simulation.store import MemoryStore
from tests.simulation.world import World

PATIENCE_SECONDS = 600.0
"""Virtual seconds that the farm has, once it is left alone, to bring every job to its end."""
CLEAN_SECONDS = 10.0


class Outcome(NamedTuple):
    """What came of a seed: sentences about broken promises, and how much happened."""

    seed: int
    violations: list[str]
    jobs: int
    attempts: int
    deeds: dict[str, int]


def simulate(seed: int, store: MemoryStore) -> Outcome:
    """Run one seed; the same seed does the same, every time."""
    rng = random.Random(f"threads {seed}")
    loop = VirtualLoop(rng)
    with tempfile.TemporaryDirectory(prefix="reelmill-simulation-", dir=_memory_folder()) as folder:
        try:
            return loop.run_until_complete(_play(loop, seed, store, Path(folder)))
        except Deadlock:
            return Outcome(seed, ["nothing would ever have happened again"], 0, 0, {})
        finally:
            _bury(loop)


async def _play(loop: VirtualLoop, seed: int, store: MemoryStore, media_root: Path) -> Outcome:
    await store.renew()
    ERRORS.clear()
    world = World(loop, seed, store, media_root)
    with _replaced(world):
        for n in range(world.rng.choice([1, 1, 2])):
            world.start_master(f"m{n}")
        for n in range(world.rng.randint(1, 3)):
            world.start_worker(f"w{n}")
        if world.is_kind:
            loop.create_task(_watch(world))
        await world.submit()
        await rage(world, world.rng.uniform(30, 75))
        await calm_down(world)
        await _wait_for_the_end(world)
        await asyncio.sleep(2 * CLEAN_SECONDS + 5)
        jobs = await store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=100_000))
        found = (
            world.violations
            + await check(world, jobs)
            + [f"the farm failed: {error}" for error in (*ERRORS, *loop.failures)]
        )
    return Outcome(seed, found, len(jobs), sum(job.attempt for job in jobs), dict(world.deeds))


async def _watch(world: World) -> None:
    """What must not be seen at any time in a kind world."""
    while True:
        await asyncio.sleep(2)
        world.look_at_leases()


async def _wait_for_the_end(world: World) -> None:
    """What stands still because a user said so is let go on."""
    ended = ", ".join(f"'{status}'" for status in sorted(TERMINAL))
    limit = world.loop.time() + PATIENCE_SECONDS
    while world.loop.time() < limit:
        open_jobs = world.store.peek(f"SELECT id, status FROM jobs WHERE status NOT IN ({ended})")
        if not open_jobs:
            return
        for job in open_jobs:
            if job.status == "paused":
                await world.act("resume", job.id)
        await asyncio.sleep(2)


@contextlib.contextmanager
def _replaced(world: World) -> Generator[None, None, None]:
    """What a worker takes from its machine: processes, ids, and how often it cleans."""
    numbers = itertools.count(1)
    ids = SimpleNamespace(uuid7=lambda: f"node-{next(numbers)}")
    with (
        mock.patch("reelmill.worker.attempt.EngineProcess", functools.partial(SimulatedEngine, world)),
        mock.patch("reelmill.worker.agent.Probe", SimulatedProbe),
        mock.patch("reelmill.worker.agent.uuid_utils", ids),
        mock.patch("reelmill.worker.agent.CLEAN_SECONDS", CLEAN_SECONDS),
    ):
        yield


def _bury(loop: VirtualLoop) -> None:
    """The dead leave coroutines that were never finished; what those would still do is done nowhere."""
    sys.unraisablehook = _say_nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop.bury()
        gc.collect()


def _say_nothing(_told: object) -> None:
    """About what a coroutine of a dead process raises when it is taken away."""


def _memory_folder() -> Path | None:
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None
