"""A master that answers on a real socket, as a test sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2

from reelmill.bus.memory import MemoryBus
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.sqlite import SqliteStore

MakeSettings = Callable[..., Settings]


class Served(NamedTuple):
    """A master that answers at ``client``'s base address."""

    master: Master
    store: SqliteStore
    bus: MemoryBus
    client: httpx2.AsyncClient

    async def submit(self, **body: Any) -> dict[str, Any]:
        """The job that the API made of the body; a small synthetic one unless the body says otherwise."""
        answer = await self.client.post("/jobs", json={"scenario": "480p30-h264"} | body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        """What a GET that must succeed answers."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()
