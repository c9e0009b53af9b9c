"""What every database behind reelmill offers: run a function in a durable transaction, or over a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from reelmill.service import Service
from reelmill.store.doorbell import Doorbell

T = TypeVar("T")
Tx = Connection
"""One transaction; queries are functions that take it first."""


class Store(Service, Protocol):
    """The database of a farm."""

    failed: asyncio.Future[str]
    """Done, with a sentence for the operator, once the store can no longer promise durability: the process must end."""
    doorbell: Doorbell
    """Rings when a commit, of any master that shares the database, may have made something claimable."""

    @property
    def place(self) -> str:
        """Where the database is, for people: a path, or a URL without its password."""
        ...

    def read_revision(self) -> str | None:
        """The revision of the database's schema, also when the store is not started; None when there is none yet.

        Changes nothing, and blocks while it looks. StartupError when the database cannot be reached, is newer than
        this code, or another program's.
        """
        ...

    async def write(self, work: Callable[[Tx], T], *, waits_for_no_row: bool = False) -> T:
        """Run ``work`` in a transaction and return its result after the durable commit.

        An exception from ``work`` undoes its changes and is raised; StoreUnavailable when the commit was refused.
        ``work`` may share its commit with others and must not keep the transaction. Work that ``waits_for_no_row``, as
        it skips those that others have locked, may be done beside all else: nobody can wait for it in a circle.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` over one committed snapshot; it cannot change anything."""
        ...
