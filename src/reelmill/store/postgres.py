"""The store on PostgreSQL 14 or newer: any number of masters may share it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from reelmill.errors import StartupError, StoreUnavailable
from reelmill.store.migrate import migrate
from reelmill.store.pooled import READERS, PooledStore

_OLDEST = 140_000
_MIGRATION_LOCK = 7_236_141
_CONNECT_SECONDS = 10
_PASSING = ("40001", "40P01")  # serialization_failure, deadlock_detected


def read_url(url: str) -> URL:
    """The URL for SQLAlchemy; StartupError when it is not one of PostgreSQL."""
    scheme = urlsplit(url).scheme
    if scheme not in ("postgresql", "postgres"):
        raise StartupError(f"the store {url!r} is not a postgresql:// URL")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StartupError(f"the store's URL cannot be read: {error}") from error
    return parsed.set(drivername="postgresql+psycopg")


class PostgresStore(PooledStore):
    """A PostgreSQL database, at ``url``."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = read_url(url)

    async def start(self) -> None:
        """Connect and migrate; StartupError when it cannot be reached, is too old, or newer than this code."""
        if self._write_engine is not None:
            return
        self.failed = asyncio.get_running_loop().create_future()
        engine = self._engine(1, "READ WRITE")
        try:
            await asyncio.to_thread(self._prepare, engine)
        except (OperationalError, InterfaceError) as error:
            engine.dispose()
            raise StartupError(f"cannot use the store {self._shown}: {_first_line(error)}") from error
        except StartupError:
            engine.dispose()
            raise
        self.open_pools(engine, self._engine(READERS, "READ ONLY"))

    @property
    def _shown(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    def _engine(self, size: int, access: str) -> Engine:
        engine = create_engine(
            self._url,
            pool_size=size,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "reelmill"},
        )

        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET TRANSACTION {access}")

        if access == "READ ONLY":
            event.listen(engine, "begin", on_begin)
        return engine

    def _prepare(self, engine: Engine) -> None:
        with engine.connect() as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
            if version < _OLDEST:
                raise StartupError(f"{self._shown} is PostgreSQL {version // 10_000}; 14 or newer is needed")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            try:
                migrate(connection)
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                connection.commit()

    def may_pass(self, error: DatabaseError) -> bool:
        return getattr(error.orig, "sqlstate", None) in _PASSING

    def explain_write(self, error: DatabaseError) -> StoreUnavailable:
        sentence = f"the store {self._shown} refused a commit ({_first_line(error)})"
        return StoreUnavailable(f"{sentence}: nothing of this request was kept; ask again")

    def explain_read(self, error: DatabaseError) -> StoreUnavailable:
        return StoreUnavailable(f"cannot read the store {self._shown}: {_first_line(error)}")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
