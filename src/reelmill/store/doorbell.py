"""The doorbell: a commit after which there may be something to claim is heard by every master of the database.

Whoever changes jobs says so in the transaction, so that no caller can forget it; the store rings with the commit.
A ring may be lost, doubled or in vain: masters also look by themselves now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection

_ANNOUNCED = "reelmill_work"


def announce_work(tx: Connection) -> None:
    """Ring with the commit of this transaction: there may be something to claim."""
    tx.info[_ANNOUNCED] = True


def has_announced(connection: Connection) -> bool:
    """Whether work was announced since this was asked last."""
    return connection.info.pop(_ANNOUNCED, False)


class Doorbell:
    """Calls everybody who listens."""

    def __init__(self) -> None:
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener``, in the running event loop, with every ring, until the returned function is called."""
        entry = (asyncio.get_running_loop(), listener)
        self._listeners.append(entry)
        return lambda: self._listeners.remove(entry)

    def ring(self) -> None:
        """From any thread."""
        for loop, listener in list(self._listeners):
            loop.call_soon_threadsafe(listener)
