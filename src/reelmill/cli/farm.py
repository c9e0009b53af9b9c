"""A whole farm in one process: store, bus, master and worker, started and stopped in the right order."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reelmill.bus.memory import MemoryBus
from reelmill.bus.protocol import Bus
from reelmill.cli.folders import prepare_folders
from reelmill.clock import SystemClock
from reelmill.errors import StartupError
from reelmill.master.master import Master
from reelmill.service import running
from reelmill.settings import Settings
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore
from reelmill.worker.agent import Worker
from reelmill.worker.card_energy import Cards, find_nvml
from reelmill.worker.confinement import EngineLimits
from reelmill.worker.depot import Depot, SharedFolder
from reelmill.worker.energy import Meter
from reelmill.worker.http_depot import HttpDepot
from reelmill.worker.inventory import Inventory
from reelmill.worker.machine import usable_memory
from reelmill.worker.sessions import Sessions
from reelmill.worker.source_attempt import begin_attempt

if TYPE_CHECKING:
    from reelmill.media.object_place import ObjectPlace

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
        raise StartupError("PostgreSQL needs a driver; in a clone of reelmill, type: pip install '.[fleet]'") from error
    return PostgresStore(settings.store)


async def open_objects(settings: Settings) -> ObjectPlace | None:
    """The object store of the media, known to work; None when they are in a folder."""
    if not settings.media_store:
        return None
    try:
        from reelmill.media.object_place import ObjectPlace
    except ImportError as error:
        raise StartupError("media in an object store need a package more; type: pip install 'reelmill[s3]'") from error
    objects = ObjectPlace(settings.media_store, settings.media_endpoint)
    await objects.open()
    return objects


@contextlib.asynccontextmanager
async def run_farm(settings: Settings, inventory: Inventory) -> AsyncGenerator[RunningFarm, None]:
    """A farm for the length of the block; everything is stopped behind it, the worker first."""
    store = open_store(settings)  # first: a URL that cannot be leaves no folders behind
    prepare_folders(settings)
    bus = MemoryBus()
    objects = await open_objects(settings)
    # Only of a farm with a file of its own it is certain that no other worker is alive.
    master = Master(settings, store, bus, SystemClock(), alone=not settings.store, objects=objects)
    worker = make_worker(settings, inventory, bus, make_depot(settings, bus, own_folder(settings)))
    async with running(store, bus, master, worker):
        gc.freeze()  # what was loaded stays: looking through it again and again would stop the loop for 50 ms each time
        yield RunningFarm(store, master, worker)


def own_folder(settings: Settings) -> Path | None:
    """The media folder for a worker beside its master; None when media are in an object store."""
    return None if settings.media_store else settings.media_folder


def make_depot(settings: Settings, bus: Bus, media: Path | None) -> Depot:
    """With the farm's media folder, or with none: then media come where links of the masters lead."""
    return HttpDepot(bus, settings.data / "worker", settings.cache_bytes) if media is None else SharedFolder(media)


def make_worker(settings: Settings, inventory: Inventory, bus: Bus, depot: Depot, node_id: str | None = None) -> Worker:
    """The worker that the settings describe, not started yet; with an id of its own unless one is given."""
    units, cards = inventory.capabilities.units, Cards(find_nvml())
    meter = Meter(settings.prices, settings.watts_per_core, node_units=units, cards=cards)
    return Worker(
        bus,
        inventory,
        depot,
        name=settings.node_name,
        node_id=node_id,
        reserve_live=settings.reserve_live,
        min_free=settings.min_free_bytes,
        engine_limits=EngineLimits(
            settings.engine_memory_bytes, settings.engine_nice, usable_memory(), inventory.capabilities.units
        ),
        beat_seconds=settings.beat_seconds,
        hang_seconds=settings.hang_seconds,
        sessions=Sessions(settings.hardware_sessions),
        make_attempt=partial(begin_attempt, meter=meter),
    )
