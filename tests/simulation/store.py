"""The one database of all simulated masters: the real SQLite store, in memory, emptied before each run."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Row, delete

from reelmill.store.doorbell import Doorbell
from reelmill.store.schema import metadata
from reelmill.store.sqlite import SqliteStore


class MemoryStore(SqliteStore):
    """Migrated once for many runs, each of which has a loop of its own."""

    def __init__(self) -> None:
        super().__init__(None)

    async def renew(self) -> None:
        """Forget everything, and serve the running loop."""
        await self.start()
        self.doorbell = Doorbell()
        self.failed = asyncio.get_running_loop().create_future()
        await self.write(lambda tx: [tx.execute(delete(table)) for table in reversed(metadata.sorted_tables)])
        await self.write(lambda tx: tx.exec_driver_sql("DELETE FROM sqlite_sequence") and None)

    def peek(self, query: str, *values: object) -> list[Row[Any]]:
        """What a query says now, between any two transactions."""
        assert self._memory is not None
        with self._memory.begin():
            return list(self._memory.exec_driver_sql(query, values).all())
