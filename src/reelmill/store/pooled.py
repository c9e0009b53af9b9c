"""What a store on any SQL database shares: one writer with group commit, a few readers, one way to stop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from reelmill.errors import StoreUnavailable
from reelmill.store.doorbell import Doorbell
from reelmill.store.group_commit import GroupCommitWriter
from reelmill.store.protocol import Store, Tx

T = TypeVar("T")

READERS = 4


class PooledStore(Store):
    """Writes through threads of which each commits many callers at once; reads in a pool of threads."""

    def __init__(self) -> None:
        self.doorbell = Doorbell()
        self._write_engine: Engine | None = None
        self._read_engine: Engine | None = None
        self._writer: GroupCommitWriter | None = None
        self._giver: GroupCommitWriter | None = None
        self._readers: ThreadPoolExecutor | None = None

    @abstractmethod
    def explain_write(self, error: DatabaseError) -> StoreUnavailable:
        """What the operator must do about a commit that the database refused."""
        ...

    @abstractmethod
    def explain_read(self, error: DatabaseError) -> StoreUnavailable:
        """What the operator must do about a read that failed."""
        ...

    def may_pass(self, error: DatabaseError) -> bool:
        """Whether the same work may succeed at once, because only another master was in the way."""
        return False

    @abstractmethod
    def before_commit(self, tx: Tx) -> None:
        """The last deed of each transaction: tell of the work that was announced."""
        ...

    def open_pools(
        self, write_engine: Engine, read_engine: Engine, *, giver: bool = False, when_several: str | None = None
    ) -> None:
        """Begin to serve; the database must have been migrated. With a ``giver``, claims have a writer of their own."""
        self._write_engine, self._read_engine = write_engine, read_engine
        self._readers = ThreadPoolExecutor(READERS, "store-reader")

        def writer() -> GroupCommitWriter:
            hooks = (self.explain_write, self.die, self.may_pass, self.before_commit)
            return GroupCommitWriter(write_engine, *hooks, when_several)

        self._writer = writer()
        self._giver = writer() if giver else None

    async def stop(self) -> None:
        writers = [writer for writer in (self._writer, self._giver) if writer is not None]
        self._writer = self._giver = None  # from here on new work is refused, not left behind the end mark
        for writer in writers:
            await writer.close()
        if self._readers:
            self._readers.shutdown(wait=True)
            self._readers = None
        for engine in (self._read_engine, self._write_engine):
            if engine is not None:
                engine.dispose()
        self._read_engine = self._write_engine = None

    async def write(self, work: Callable[[Tx], T], *, waits_for_no_row: bool = False) -> T:
        writer = self._giver if waits_for_no_row and self._giver is not None else self._writer
        if writer is None:
            raise StoreUnavailable("the store is not open")
        return await writer.submit(work)

    async def read(self, work: Callable[[Tx], T]) -> T:
        engine = self._read_engine
        if engine is None:
            raise StoreUnavailable("the store is not open")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, engine, work)

    def _read(self, engine: Engine, work: Callable[[Tx], T]) -> T:
        try:
            with engine.connect() as connection:
                return work(connection)
        except DatabaseError as error:
            raise self.explain_read(error) from error

    def die(self, error: BaseException) -> None:
        """From any thread: the store can no longer promise durability, the process must end."""
        self.failed.get_loop().call_soon_threadsafe(self._fail, str(error))

    def _fail(self, sentence: str) -> None:
        if not self.failed.done():
            self.failed.set_result(sentence)
