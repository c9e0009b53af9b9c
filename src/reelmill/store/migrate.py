"""Bring a database to the schema of this code, with Alembic."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from reelmill.errors import StartupError
from reelmill.store.schema import REVISION

_SCRIPTS = Path(__file__).parent / "migrations"


def current_revision(connection: Connection) -> str | None:
    """The revision of the database; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate(connection: Connection) -> None:
    """Create or upgrade the tables; StartupError when the database was written by a newer reelmill."""
    with connection.begin():
        revision = current_revision(connection)
        if revision == REVISION:
            return
        if revision is not None and revision > REVISION:
            advice = "upgrade this one, or choose another folder with --data"
            raise StartupError(f"the database was written by a newer reelmill (schema {revision}); {advice}")
        # Alembic takes most of a second to import: only a database that needs it pays for it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
