"""How one master's commit wakes the others on PostgreSQL: NOTIFY in the transaction, LISTEN on its own connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection

from reelmill.errors import StartupError, StoreUnavailable
from reelmill.service import PeriodicService
from reelmill.store.doorbell import Doorbell, has_announced

_CHANNEL = "reelmill_work"
_TRY_AGAIN_SECONDS = 0.5


def notify(connection: Connection) -> None:
    """Right before a commit: PostgreSQL tells all masters when, and only if, it succeeds.

    Once a commit at most, and only when work was announced: commits that notify wait for each other.
    """
    if has_announced(connection):
        connection.exec_driver_sql(f"NOTIFY {_CHANNEL}")


class WorkListener(PeriodicService):
    """Rings the doorbell with every notification; a connection that is lost is made again."""

    def __init__(self, connect_arguments: Mapping[str, Any], doorbell: Doorbell) -> None:
        super().__init__(_TRY_AGAIN_SECONDS)
        self._connect_arguments = connect_arguments
        self._doorbell = doorbell
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def start(self) -> None:
        try:
            self._connection = self._connection or await self._listen()
        except psycopg.Error as error:
            raise StartupError(f"cannot listen to the store: {_first_line(error)}") from error
        self.wake()  # the first round is now
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await self._hang_up()

    async def run_once(self) -> None:
        """Ring until the connection is lost."""
        try:
            if self._connection is None:
                self._connection = await self._listen()
                self._doorbell.ring()  # for what was committed while nobody listened
            async for _ in self._connection.notifies():
                self._doorbell.ring()
        except psycopg.Error as error:
            await self._hang_up()
            sentence = f"not told of new work ({_first_line(error)}): looking for it every few seconds"
            raise StoreUnavailable(sentence) from error

    async def _listen(self) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection[Any].connect(**self._connect_arguments, autocommit=True)
        await connection.execute(f"LISTEN {_CHANNEL}")
        return connection

    async def _hang_up(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]
