"""The store on PostgreSQL 14 or newer: any number of masters may share it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from psycopg.pq import Conninfo
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError

from reelmill.errors import SettingsError, StartupError, StoreUnavailable
from reelmill.store.listener import WorkListener, notify
from reelmill.store.migrate import migrate, read_revision
from reelmill.store.pooled import READERS, PooledStore
from reelmill.store.protocol import Tx

if TYPE_CHECKING:
    from psycopg import Connection as DriverConnection
    from psycopg import Cursor

_WRITERS = 2
"""One gives jobs away, one does all else: while the database works for one, Python works for the other."""
_IN_A_HURRY = "SET LOCAL lock_timeout = '100ms'"
"""Several pieces of work in one commit hold rows that others wait for, so they do not wait long themselves."""
_PATIENCE = "SET idle_in_transaction_session_timeout = '5s'"
"""A master that is frozen in the middle of a transaction would hold up all others for as long as it is."""
_OLDEST = 140_000
_MIGRATION_LOCK = 7_236_141
_CONNECT: dict[str, str | int] = {
    "application_name": "reelmill",
    "client_encoding": "utf8",  # whatever the URL or PGCLIENTENCODING says: names and labels are in any script
    "connect_timeout": 10,
    # A peer that vanished is noticed in half a minute, not when the kernel gives up after a quarter of an hour.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_ADVICE = (
    (re.compile("password authentication failed|no password supplied"), "mend the user or the password in the URL"),
    (re.compile('role ".*" does not exist'), "mend the user in the URL, or make it with `createuser`"),
    (re.compile('database ".*" does not exist'), "mend the name at the end of the URL, or make it with `createdb`"),
    (re.compile("permission denied for schema"), "let the user make tables there, or make it the database's owner"),
    (re.compile("refused|resolve host|time.?out"), "is PostgreSQL running there, and are host and port right?"),
)
"""What to do about what PostgreSQL, or its driver, says of a URL that does not work."""
_OPTIONS = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())
"""What may stand behind the ? of a URL."""
_PASSING = ("40001", "40P01", "55P03", "23505")
"""serialization_failure, deadlock_detected, lock_not_available, unique_violation: another was quicker with a key."""


def read_url(url: str) -> URL:
    """The URL for SQLAlchemy; SettingsError when it is not one of PostgreSQL."""
    try:
        scheme = urlsplit(url).scheme
        if scheme not in ("postgresql", "postgres"):
            plain = url[:60] if url.isalnum() else "of that name"
            shown = f"{scheme}:…" if scheme else plain  # the rest may hold a password
            advice = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or give no store for a SQLite file"
            raise SettingsError(f"the store {shown} is not a postgresql:// URL; {advice}")
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        for option in parsed.query:
            if option not in _OPTIONS:  # the driver takes more, which are Python objects
                if "@" in url.partition("?")[2]:
                    raise ValueError("this may be the rest of a password that has an @")
                raise SettingsError(f"the store's URL has the option {option[:60]!r}, which PostgreSQL does not know")
        parsed.get_dialect()().create_connect_args(parsed)
    except (ArgumentError, ValueError) as error:
        signs = "%40 for an @, %5B for a [ and %5D for a ] in the password"
        several = "several hosts as postgresql:///DATABASE?host=HOST:PORT&host=HOST:PORT"
        advice = f"write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with {signs}; {several}"
        raise SettingsError(f"the store's URL cannot be read; {advice}") from error
    return parsed


class PostgresStore(PooledStore):
    """A PostgreSQL database, at ``url``."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = read_url(url)
        self._listener: WorkListener | None = None

    async def start(self) -> None:
        """Connect and migrate; StartupError when it cannot be reached, is too old, or newer than this code."""
        if self._write_engine is not None:
            return
        self.failed = asyncio.get_running_loop().create_future()
        engine = self._engine(_WRITERS)
        _, connect_arguments = engine.dialect.create_connect_args(self._url)
        self._listener = WorkListener({**connect_arguments, **_CONNECT}, self.doorbell)
        try:
            await asyncio.to_thread(self._prepare, engine)
            await self._listener.start()
        except DBAPIError as error:  # also a role that may not make tables
            engine.dispose()
            raise self._unusable(error) from error
        except StartupError:
            engine.dispose()
            raise
        self.open_pools(engine, self._engine(READERS, read_only=True), giver=True, when_several=_IN_A_HURRY)

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None
        await super().stop()

    @property
    def place(self) -> str:
        shown = self._url.set(drivername="postgresql").difference_update_query(["password", "sslpassword"])
        return shown.render_as_string(hide_password=True)

    def read_revision(self) -> str | None:
        engine = self._engine(1, read_only=True)
        try:
            with engine.connect() as connection:
                return read_revision(connection, self.place)
        except DBAPIError as error:
            raise self._unusable(error) from error
        finally:
            engine.dispose()

    def _unusable(self, error: DBAPIError) -> StartupError:
        said = _first_line(error)
        advice = next((f"; {advice}" for pattern, advice in _ADVICE if pattern.search(said)), "")
        return StartupError(f"cannot use the store {self.place}: {said}{advice}")

    def _engine(self, size: int, *, read_only: bool = False) -> Engine:
        engine = create_engine(
            self._url,
            pool_size=size,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args=_CONNECT,
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",  # a read sees one snapshot
        )

        event.listen(engine, "do_executemany", _copy_rows)
        event.listen(engine, "do_execute", _copy_row)

        def on_connect(connection: DriverConnection[Any], _record: object) -> None:
            # No statement has to read a table from its beginning, but without statistics PostgreSQL may think so.
            connection.execute("SET enable_seqscan = off")
            connection.execute("SET enable_bitmapscan = off")
            connection.execute(_PATIENCE)
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
            connection.commit()

        event.listen(engine, "connect", on_connect)
        return engine

    def _prepare(self, engine: Engine) -> None:
        with engine.connect() as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
            if version < _OLDEST:
                needed = f"{_OLDEST // 10_000} or newer is needed"
                raise StartupError(f"the store {self.place} is PostgreSQL {version // 10_000}; {needed}")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            try:
                migrate(connection, self.place)
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                connection.commit()

    def before_commit(self, tx: Tx) -> None:
        notify(tx)

    def may_pass(self, error: DatabaseError) -> bool:
        return getattr(error.orig, "sqlstate", None) in _PASSING

    def explain_write(self, error: DatabaseError) -> StoreUnavailable:
        if error.connection_invalidated and error.statement is None:  # COMMIT was sent, and no answer came
            sentence = f"the store {self.place} was lost during a commit ({_first_line(error)})"
            advice = "whether this request was kept is not known; ask again with the same idempotency key"
            return StoreUnavailable(f"{sentence}: {advice}")
        sentence = f"the store {self.place} refused a commit ({_first_line(error)})"
        return StoreUnavailable(f"{sentence}: nothing of this request was kept; ask again")

    def explain_read(self, error: DatabaseError) -> StoreUnavailable:
        return StoreUnavailable(f"cannot read the store {self.place}: {_first_line(error)}")


def _copy_rows(cursor: Cursor[Any], statement: str, rows: Sequence[Sequence[Any]], _context: object) -> bool:
    """COPY takes its rows beside the statement; here it fails as every other statement does. True when it was one."""
    if not statement.startswith("COPY "):
        return False
    with cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
    return True


def _copy_row(cursor: Cursor[Any], statement: str, row: Sequence[Any], context: object) -> bool:
    """One row reaches the driver in another way than many."""
    return _copy_rows(cursor, statement, (row,), context)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
