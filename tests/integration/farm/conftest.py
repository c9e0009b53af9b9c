"""A whole farm in the test's own process: real SQLite file, real bus, real ffmpeg, real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.attempt import AttemptKey, AttemptReport, Grant, Offer
from reelmill.domain.lifecycle import Settle, Start
from reelmill.domain.retry import RetryPolicy
from reelmill.master.master import Master
from reelmill.media.object_place import ObjectPlace
from reelmill.settings import Settings
from reelmill.store.attempts import report
from reelmill.store.claim import claim
from reelmill.store.sqlite import SqliteStore
from reelmill.store.transition import Rules
from reelmill.worker.agent import Worker
from reelmill.worker.confinement import EngineLimits
from reelmill.worker.depot import Depot, SharedFolder
from reelmill.worker.inventory import Inventory, discover, find_ffmpeg
from reelmill.worker.machine import usable_memory
from tests import samples
from tests.footage import BIG_BUCK_BUNNY
from tests.object_store import ObjectStore, object_store

TERMINAL = {"completed", "failed", "canceled", "timed_out"}


class FarmUnderTest:
    """A farm whose parts a test starts and stops one by one. ``url`` answers while the master runs."""

    def __init__(
        self,
        folder: Path,
        inventory: Inventory,
        *,
        bus: MemoryBus | None = None,
        objects: ObjectPlace | None = None,
        **settings: Any,
    ) -> None:
        self.media = folder / "media"
        self.media.mkdir(exist_ok=True)
        own: dict[str, Any] = {"port": 0, "data": folder, "media": self.media, "beat_seconds": 0.2}
        self.settings = Settings(**own | settings)
        self.inventory = inventory
        self.bus = bus or MemoryBus()
        self.store = SqliteStore(folder / "farm.db")
        self.master = Master(self.settings, self.store, self.bus, SystemClock(), alone=True, objects=objects)
        self.worker = self.new_worker()
        self._clients = contextlib.AsyncExitStack()
        self.http: httpx2.AsyncClient

    def new_worker(self, name: str = "node-1", depot: Depot | None = None, **own: Any) -> Worker:
        return Worker(
            self.bus,
            self.inventory,
            depot or SharedFolder(self.media),
            name=name,
            min_free=self.settings.min_free_bytes,
            engine_limits=EngineLimits(self.settings.engine_memory_bytes, self.settings.engine_nice, usable_memory()),
            beat_seconds=self.settings.beat_seconds,
            **own,
        )

    async def start_master(self) -> None:
        for service in (self.store, self.bus, self.master):
            await service.start()
        self.http = await self._clients.enter_async_context(httpx2.AsyncClient(base_url=self.master.url, timeout=30))

    async def stop(self) -> None:
        await self._clients.aclose()
        for service in (self.worker, self.master, self.bus, self.store):
            await service.stop()

    async def submit(self, scenario: str = "480p30-h264", **parameters: Any) -> dict[str, Any]:
        body = {"scenario": scenario, "parameters": parameters}
        return (await self.http.post("/jobs", json=body)).raise_for_status().json()

    async def get(self, path: str) -> Any:
        return (await self.http.get(path)).raise_for_status().json()

    async def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return await self.get(f"/jobs/{job['id']}")

    async def wait(
        self, job: dict[str, Any], until: Callable[[dict[str, Any]], bool], seconds: float = 180
    ) -> dict[str, Any]:
        """Poll until the job is as wanted; the failure shows its last state."""
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                while not until(last := await self.job(job)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"not reached in {seconds} s; last state: {last}")
        return last

    async def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        return await self.wait(job, lambda seen: seen["status"] in TERMINAL)

    async def running(self, job: dict[str, Any]) -> dict[str, Any]:
        return await self.wait(job, lambda seen: seen["status"] == "running")

    def attempt_folders(self) -> list[str]:
        folder = self.media / ".reelmill" / "attempts"
        return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []

    def outputs(self) -> list[str]:
        return sorted(str(path.relative_to(self.media)) for path in self.media.rglob("*.mp4") if path.is_file())


FarmMaker = Callable[..., FarmUnderTest]


@pytest.fixture(scope="session")
def inventory() -> Inventory:
    """What this machine has, with two units whatever its size."""
    return asyncio.run(discover(2))


@pytest.fixture
async def make_farm(tmp_path: Path, inventory: Inventory) -> AsyncGenerator[FarmMaker, None]:
    """Makes farms over one folder; all are stopped behind the test."""
    farms: list[FarmUnderTest] = []

    def make(**settings: Any) -> FarmUnderTest:
        farms.append(FarmUnderTest(tmp_path, inventory, **settings))
        return farms[-1]

    yield make
    for farm in farms:
        await farm.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Generator[ObjectStore, None, None]:
    """One real object store for all tests; each has a prefix of its own."""
    with object_store(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
async def farm(make_farm: FarmMaker) -> FarmUnderTest:
    """A farm that is up."""
    farm = make_farm()
    await farm.start_master()
    await farm.worker.start()
    return farm


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 640x480 H.264 with AAC sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sources = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"]
    encode = ["-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *sources, *encode, path], check=True)
    return path


def engines() -> list[psutil.Process]:
    """The ffmpeg processes that this test's farm runs."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "ffmpeg" in child.name()]


async def no_engine_within(seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while engines():
            await asyncio.sleep(0.01)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rules() -> Rules:
    return Rules(time.time(), RetryPolicy(), random.Random(0))


async def claim_as(farm: FarmUnderTest, node: str) -> Grant:
    """Take the one job that waits, as a worker would."""
    offer = Offer(node, node, farm.inventory.capabilities, 2)
    [grant] = await farm.store.write(lambda tx: claim(tx, offer, 30.0, _rules()))
    return grant


async def claim_as_dead_worker(farm: FarmUnderTest) -> AttemptKey:
    """Take the job as a worker would, and never be heard of again."""
    return (await claim_as(farm, "dead")).key


async def settle_as_dead_worker(
    farm: FarmUnderTest, key: AttemptKey, output: str, sha256: str, size: int, node: str = "dead"
) -> None:
    """Say that its output was verified, and no more."""
    result = msgspec.structs.replace(samples.result(), output=output, sha256=sha256, size_bytes=size)
    reports = [AttemptReport(key, node, event) for event in (Start(), Settle(result))]
    assert await farm.store.write(lambda tx: report(tx, reports, _rules())) == [True, True]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, inventory: Inventory) -> Path:
    """Ten seconds of real footage with sound, a key picture every second."""
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", inventory, BIG_BUCK_BUNNY, 2)


def make_film(path: Path, inventory: Inventory, source: Path, times: int, *options: str) -> Path:
    """The source so many times over."""
    command = [
        *(str(inventory.ffmpeg.path), "-v", "error", "-stream_loop", str(times - 1), "-i", str(source)),
        *("-s", "320x180", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-ac", "2", *options, str(path)),
    ]
    subprocess.run(command, check=True)
    return path
