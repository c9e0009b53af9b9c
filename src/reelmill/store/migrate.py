"""Bring a database to the schema of this code, with Alembic; leave those alone that are newer, or not ours."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Connection, inspect, text

from reelmill.errors import StartupError
from reelmill.store.schema import REVISION, REVISIONS

log = structlog.get_logger()

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"
_OURS = frozenset({"jobs", "lanes", "launches", "history"})
"""Tables that every revision of ours has had."""


def read_revision(connection: Connection, place: str) -> str | None:
    """The revision of the database at ``place``; None when it is empty.

    StartupError when this code must not touch it: a newer reelmill wrote it, or another program.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    option = "--data" if connection.dialect.name == "sqlite" else "--store"
    elsewhere = f"point {option} elsewhere"
    if not tables >= _OURS | {_VERSIONS}:
        some = ", ".join(sorted(tables)[:3])
        raise StartupError(f"{place} is not a database of reelmill: it holds other tables ({some}); {elsewhere}")
    revisions = connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalars().all()  # noqa: S608
    if len(revisions) != 1:
        raise StartupError(f"{place} does not say which schema it has; restore it from a backup, or {elsewhere}")
    if revisions[0] not in REVISIONS:
        written = f"was written by a newer reelmill (schema {revisions[0]}, this one knows up to {REVISION})"
        raise StartupError(f"the database {place} {written}; upgrade reelmill, or {elsewhere}")
    return revisions[0]


def migrate(connection: Connection, place: str) -> None:
    """Create or upgrade the tables in one transaction; StartupError as `read_revision`."""
    with connection.begin():
        revision = read_revision(connection, place)
        if revision == REVISION:
            return
        if revision is not None:
            log.info("database_upgrade", database=place, revision=revision, to=REVISION)
        # Alembic takes most of a second to import: only a database that needs it pays for it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
