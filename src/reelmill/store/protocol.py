"""What every database behind reelmill offers: run a function in a durable transaction, or over a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from reelmill.service import Service

T = TypeVar("T")
Tx = Connection
"""One transaction; queries are functions that take it first."""


class Store(Service, Protocol):
    """The database of a farm."""

    failed: asyncio.Future[str]
    """Done, with a sentence for the operator, once the store can no longer promise durability: the process must end."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in a transaction and return its result after the durable commit.

        An exception from ``work`` undoes its changes and is raised; StoreUnavailable when the commit was refused.
        ``work`` may share its commit with others and must not keep the transaction.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` over one committed snapshot; it cannot change anything."""
        ...
