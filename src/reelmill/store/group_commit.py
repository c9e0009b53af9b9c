"""Group commit: one thread owns the writing connection and commits the work of many callers at once.

While one commit waits for the disk, new work queues up and shares the next one, so throughput grows with load although
each caller still waits for its own durable commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError

from reelmill.errors import StoreUnavailable
from reelmill.store.counts import Outrun, forget_counts, pending_counts, undo_counts, write_counts
from reelmill.store.doorbell import has_announced

_MOST_AT_ONCE = 512
_TRIES = 5
_OWN_FAULT = (IntegrityError, ProgrammingError, DataError)
"""What one piece of work can do wrong without harm to its neighbours."""


class _Work(NamedTuple):
    run: Callable[[Connection], Any]
    done: asyncio.Future[Any]


class _Outcome(NamedTuple):
    done: asyncio.Future[Any]
    value: Any
    error: BaseException | None


@contextlib.contextmanager
def transaction(connection: Connection, before_commit: Callable[[Connection], None]) -> Generator[None, None, None]:
    """A transaction that writes the counts that changed, and calls ``before_commit``, as the last of its deeds."""
    with connection.begin():
        forget_counts(connection)  # what an earlier one, which was refused, may have left behind
        has_announced(connection)
        yield
        write_counts(connection)
        before_commit(connection)


class GroupCommitWriter:
    """One writer's thread. ``explain`` turns a driver's error into the one that callers see."""

    def __init__(
        self,
        engine: Engine,
        explain: Callable[[DatabaseError], StoreUnavailable],
        on_death: Callable[[BaseException], None],
        may_pass: Callable[[DatabaseError], bool],
        before_commit: Callable[[Connection], None],
        when_several: str | None,
    ) -> None:
        """``on_death`` is called, in the writer's thread, when it cannot go on; later work is refused.

        A refusal that ``may_pass`` (two masters in each other's way) is tried again before anyone hears of it.
        ``when_several`` is a statement said first when several pieces of work share a commit.
        """
        self._engine = engine
        self._explain = explain
        self._on_death = on_death
        self._may_pass = may_pass
        self._before_commit = before_commit
        self._when_several = when_several
        self._dead: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        """Queue the work; the future is done after its commit, or holds the reason why there was none."""
        done: asyncio.Future[Any] = self._loop.create_future()
        if self._dead is not None:
            raise StoreUnavailable(f"the store has failed: {self._dead}") from self._dead
        self._queue.put(_Work(run, done))
        return done

    async def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except BaseException as error:
            self._dead = error
            self._on_death(error)
            left: list[_Work] = []
            while self._take_waiting(left):
                pass
            refused = [_Outcome(work.done, None, StoreUnavailable(f"the store has failed: {error}")) for work in left]
            self._loop.call_soon_threadsafe(self._deliver, refused)

    def _write_until_closed(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                batch = [first]
                closing = self._take_waiting(batch)
                outcomes = self._commit(connection, batch)
                self._loop.call_soon_threadsafe(self._deliver, outcomes)
                if closing:
                    return

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        for done, value, error in outcomes:
            if done.cancelled():
                continue
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)

    def _take_waiting(self, batch: list[_Work]) -> bool:
        """Add what waits already; True when the end mark was among it."""
        while len(batch) < _MOST_AT_ONCE:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                return False
            if work is None:
                return True
            batch.append(work)
        return False

    def _commit(self, connection: Connection, batch: list[_Work], tries: int = _TRIES) -> list[_Outcome]:
        try:
            with transaction(connection, self._before_commit):
                if len(batch) == 1:  # the transaction is protection enough
                    return [_Outcome(batch[0].done, batch[0].run(connection), None)]
                if self._when_several is not None:
                    connection.exec_driver_sql(self._when_several)
                return [self._run_in_savepoint(connection, work) for work in batch]
        except (DatabaseError, Outrun) as error:
            may_pass = isinstance(error, Outrun) or self._may_pass(error)
            if may_pass and len(batch) > 1:
                # Together they hold what each has locked, in whatever order: alone each goes its way in one order.
                return [outcome for work in batch for outcome in self._commit(connection, [work])]
            if may_pass and tries > 1:
                return self._commit(connection, batch, tries - 1)
            refused: Exception = error
            if isinstance(error, DatabaseError) and not (len(batch) == 1 and isinstance(error, _OWN_FAULT)):
                # The database may have undone all by itself, as on a full disk: nobody's work counts.
                refused = self._explain(error)
                refused.__cause__ = error
            return [_Outcome(work.done, None, refused) for work in batch]
        except BaseException as error:
            return [_Outcome(work.done, None, error) for work in batch]

    def _run_in_savepoint(self, connection: Connection, work: _Work) -> _Outcome:
        connection.exec_driver_sql("SAVEPOINT work")
        counted = pending_counts(connection)
        try:
            value = work.run(connection)
        except _OWN_FAULT as error:
            if self._may_pass(error):
                raise
            return _undo(connection, work, error, counted)
        except DatabaseError:
            raise
        except Exception as error:
            return _undo(connection, work, error, counted)
        connection.exec_driver_sql("RELEASE work")
        return _Outcome(work.done, value, None)


def _undo(connection: Connection, work: _Work, error: Exception, counted: int) -> _Outcome:
    """Take back what one piece of work did; its neighbours' stays."""
    undo_counts(connection, counted)
    connection.exec_driver_sql("ROLLBACK TO work")
    connection.exec_driver_sql("RELEASE work")
    return _Outcome(work.done, None, error)
