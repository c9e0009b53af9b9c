"""The one database of all simulated masters: the real SQLite store, in memory, emptied before each run."""

from __future__ import annotations

import asyncio
import collections
import functools
from typing import Any

from sqlalchemy import delete

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

    def peek(self, query: str, *values: object) -> list[Any]:
        """What a query says now, between any two transactions: rows with a name for each column."""
        assert self._memory is not None
        cursor = self._memory.connection.cursor().execute(query, values)
        row = _row_of(tuple(column[0] for column in cursor.description))
        return [row(*found) for found in cursor]


@functools.cache
def _row_of(columns: tuple[str, ...]) -> Any:
    return collections.namedtuple("_Row", columns)  # pyright: ignore
