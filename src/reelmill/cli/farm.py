"""A whole farm in one process: store, bus, master and worker, started and stopped in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from typing import NamedTuple

from reelmill.bus.memory import MemoryBus
from reelmill.cli.folders import prepare_folders
from reelmill.clock import SystemClock
from reelmill.errors import StartupError
from reelmill.master.master import Master
from reelmill.service import stop_all
from reelmill.settings import Settings
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore
from reelmill.worker.agent import Worker
from reelmill.worker.confinement import EngineLimits
from reelmill.worker.inventory import Inventory
from reelmill.worker.machine import usable_memory

DATABASE = "farm.db"


class RunningFarm(NamedTuple):
    """The parts of a farm that is up."""

    store: Store
    master: Master
    worker: Worker


def open_store(settings: Settings) -> Store:
    """The store that the settings name, not started yet."""
    if not settings.store:
        return SqliteStore(settings.data / DATABASE)
    try:
        from reelmill.store.postgres import PostgresStore
    except ImportError as error:
        raise StartupError("PostgreSQL needs a driver; type: pip install 'reelmill[fleet]'") from error
    return PostgresStore(settings.store)


@contextlib.asynccontextmanager
async def run_farm(settings: Settings, inventory: Inventory) -> AsyncGenerator[RunningFarm, None]:
    """A farm for the length of the block; everything is stopped behind it, the worker first."""
    store = open_store(settings)  # first: a URL that cannot be leaves no folders behind
    prepare_folders(settings)
    bus = MemoryBus()
    # Only of a farm with a file of its own it is certain that no other worker is alive.
    master = Master(settings, store, bus, SystemClock(), alone=not settings.store)
    worker = Worker(
        bus,
        inventory,
        settings.media,
        name=settings.node_name,
        reserve_live=settings.reserve_live,
        min_free=settings.min_free_bytes,
        engine_limits=EngineLimits(
            settings.engine_memory_bytes, settings.engine_nice, usable_memory(), inventory.capabilities.units
        ),
        beat_seconds=settings.beat_seconds,
        hang_seconds=settings.hang_seconds,
    )
    try:
        for service in (store, bus, master, worker):
            await service.start()
        gc.freeze()  # what was loaded stays: looking through it again and again would stop the loop for 50 ms each time
        yield RunningFarm(store, master, worker)
    finally:
        await stop_all(worker, master, bus, store)


@contextlib.contextmanager
def stop_signals(on_signal: Callable[[int], None]) -> Generator[None, None, None]:
    """Call ``on_signal`` with 1, 2, ... for each SIGINT or SIGTERM instead of ending the program."""
    loop = asyncio.get_running_loop()
    count = 0

    def hear() -> None:
        nonlocal count
        count += 1
        on_signal(count)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
