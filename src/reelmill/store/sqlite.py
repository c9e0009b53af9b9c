"""The store on SQLite: one file (WAL, synchronous=FULL), one writer with group commit, a few readers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event
from sqlalchemy.exc import DatabaseError

from reelmill.errors import StartupError, StoreUnavailable
from reelmill.store.doorbell import has_announced
from reelmill.store.file_lock import FileLock
from reelmill.store.group_commit import transaction
from reelmill.store.migrate import migrate, read_revision
from reelmill.store.pooled import READERS, PooledStore
from reelmill.store.protocol import Tx

T = TypeVar("T")

# After a failed fsync the kernel may have dropped the pages: only a fresh start knows what is on disk.
_FATAL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA journal_size_limit=67108864",
)
_WRITER_KIB = 32 * 1024
"""Pages that the writing connection keeps in memory: what a batch changes must find room, or it is written twice."""
_READER_KIB = 4 * 1024
"""Those of each reader. What they miss there the system's own cache of the file has."""


def _engine(path: Path | None, begin: str, *extra_pragmas: str) -> Engine:
    if path is None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
    else:
        engine = create_engine(f"sqlite:///{path}", pool_size=READERS)

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves: the driver begins them too late
        for pragma in (*_PRAGMAS, *extra_pragmas):
            connection.execute(pragma).close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


class SqliteStore(PooledStore):
    """A SQLite database: a file, or memory when ``path`` is None (then all work runs in the caller's thread)."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock")) if path else None
        self._memory: Connection | None = None

    @property
    def place(self) -> str:
        return str(self._path or "in memory")

    def read_revision(self) -> str | None:
        if self._path is None or not self._path.exists():
            return None
        uri = f"{self._path.as_uri()}?mode=rw"  # read only it would leave its journal behind
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)
        try:
            with engine.connect() as connection:
                return read_revision(connection, self.place)
        except DatabaseError as error:
            raise StartupError(f"cannot open the database {self._path}: {error.orig}") from error

    async def start(self) -> None:
        """Open and migrate the database; StartupError when it is in use, not writable or newer than this code."""
        if self._write_engine is not None or self._memory is not None:
            return
        self.failed = asyncio.get_running_loop().create_future()
        if self._lock:
            self._lock.acquire()
        try:
            self._open()
        except (DatabaseError, OSError, StartupError) as error:
            await self.stop()
            if isinstance(error, StartupError):
                raise
            reason = error.orig if isinstance(error, DatabaseError) else error
            raise StartupError(f"cannot open the database {self._path}: {reason}") from error

    def _open(self) -> None:
        engine = _engine(self._path, "BEGIN IMMEDIATE", f"PRAGMA cache_size=-{_WRITER_KIB}")
        with engine.connect() as connection:
            migrate(connection, self.place)
        if self._path is None:
            self._memory = engine.connect()
        else:
            self.open_pools(
                engine, _engine(self._path, "BEGIN", f"PRAGMA cache_size=-{_READER_KIB}", "PRAGMA query_only=ON")
            )

    def before_commit(self, tx: Tx) -> None:
        """Ring now: a claim that answers is written behind this commit, by the same thread."""
        if has_announced(tx):
            self.doorbell.ring()

    async def stop(self) -> None:
        await super().stop()
        if self._memory:
            self._memory.close()
            self._memory.engine.dispose()
            self._memory = None
        if self._lock:
            self._lock.release()

    async def write(self, work: Callable[[Tx], T], *, waits_for_no_row: bool = False) -> T:
        if self._memory is None:
            return await super().write(work, waits_for_no_row=waits_for_no_row)
        with transaction(self._memory, self.before_commit):
            return work(self._memory)

    async def read(self, work: Callable[[Tx], T]) -> T:
        if self._memory is None:
            return await super().read(work)
        with self._memory.begin():
            return work(self._memory)

    def explain_read(self, error: DatabaseError) -> StoreUnavailable:
        return StoreUnavailable(f"cannot read the database {self._path}: {error.orig}")

    def explain_write(self, error: DatabaseError) -> StoreUnavailable:
        """A commit that makes the file doubtful also ends the process."""
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StoreUnavailable(
                f"the disk of {self._path} is full: nothing of this request was kept; free some space"
            )
        refused = StoreUnavailable(
            f"the database {self._path} refused a commit ({error.orig}): nothing of this request was kept"
        )
        if code in _FATAL:
            self.die(refused)
        return refused
