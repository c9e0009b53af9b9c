"""Every store and every bus that the contract is held against. A new one is one more entry here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.bus.protocol import Bus
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite-memory": lambda _folder: SqliteStore(None),
    "sqlite-file": lambda folder: SqliteStore(folder / "farm.db"),
}
BUSES: dict[str, Callable[[], Bus]] = {"memory": MemoryBus}


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store that has been started."""
    made = STORES[request.param](tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(params=list(BUSES))
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A bus that has been started."""
    made = BUSES[request.param]()
    await made.start()
    yield made
    await made.stop()
