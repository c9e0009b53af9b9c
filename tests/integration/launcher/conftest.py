"""A real master on a free port, and a display that remembers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.job import Job
from reelmill.launcher.progress import Bar, Level
from reelmill.master.master import Master
from reelmill.settings import load_settings
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.sqlite import SqliteStore


class Farm:
    """A master with its store; no worker."""

    def __init__(self, master: Master, store: SqliteStore) -> None:
        self.url = master.url
        self.store = store

    async def jobs(self) -> list[Job]:
        """Every job, in the order of acceptance."""
        return await self.store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=100_000))


@contextlib.asynccontextmanager
async def running_farm(folder: Path, **more: Any) -> AsyncGenerator[Farm, None]:
    """A running master over a store in memory."""
    settings = load_settings({"port": 0, "data": folder, "media": folder, **more}, {})
    store, bus = SqliteStore(None), MemoryBus()
    master = Master(settings, store, bus, SystemClock(), alone=True)
    for service in (store, bus, master):
        await service.start()
    yield Farm(master, store)
    for service in (master, bus, store):
        await service.stop()


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    """The farm of most tests."""
    async with running_farm(tmp_path) as farm:
        yield farm


class Memory:
    """A display that keeps what was said; `seen` are the counts that bars showed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.seen: list[tuple[str, int]] = []

    def say(self, line: str, level: Level = "info") -> None:
        (self.warnings if level == "warning" else self.lines).append(line)

    def bar(self, title: str, total: int) -> AbstractContextManager[Bar]:
        return self._bar(title)

    @contextlib.contextmanager
    def _bar(self, title: str) -> Generator[Bar, None, None]:
        seen = self.seen

        class Shown:
            def show(self, done: int, detail: str = "", pace: str | None = None) -> None:
                seen.append((title, done))

        yield Shown()


@pytest.fixture
def display() -> Memory:
    return Memory()
