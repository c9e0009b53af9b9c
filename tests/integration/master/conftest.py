"""A master on a real socket, with its store and bus, and a client that speaks HTTP to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.sqlite import SqliteStore
from tests.served import MakeSettings, Served


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings for a master on a free port with folders of its own."""

    def make(**fields: Any) -> Settings:
        own: dict[str, Any] = {"port": 0, "data": tmp_path, "media": tmp_path, "node_name": "mill"}
        return Settings(**own | fields)

    return make


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store; a test that needs only one kind says so by parametrising this fixture."""
    store = SqliteStore(tmp_path / "farm.db" if request.param == "file" else None)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def served(make_settings: MakeSettings, store: SqliteStore) -> AsyncIterator[Served]:
    """A running master and its client."""
    bus = MemoryBus()
    master = Master(make_settings(), store, bus, SystemClock(), alone=False)
    await master.start()
    async with httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
        yield Served(master, store, bus, client)
    await master.stop()
    await bus.stop()
