"""The tables that the migrations make are the tables that the code expects."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect

from reelmill.store.migrate import read_revision
from reelmill.store.protocol import Store, Tx
from reelmill.store.schema import REVISION, metadata


async def test_the_migrated_schema_is_the_one_in_the_code(store: Store) -> None:
    """Alembic finds no difference in tables, columns, indexes or keys."""
    assert [] == await store.write(lambda tx: compare_metadata(MigrationContext.configure(tx), metadata))


async def test_every_check_of_the_code_is_in_the_database(store: Store) -> None:
    """Alembic does not compare CHECK constraints: here they are, word by word where the database keeps the words."""

    def read(tx: Tx) -> dict[str, str]:
        checks = [check for table in metadata.tables for check in inspect(tx).get_check_constraints(table)]
        return {str(check["name"]): str(check["sqltext"]) for check in checks}

    expected = {
        str(constraint.name): str(constraint.sqltext)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    found = await store.write(read)
    assert set(expected) == set(found)
    if await store.read(lambda tx: tx.dialect.name) == "sqlite":
        assert expected == found


async def test_a_fresh_database_is_at_the_revision_of_the_code(store: Store) -> None:
    """And REVISION is what the newest migration says."""
    assert REVISION == await store.write(lambda tx: read_revision(tx, "here"))
