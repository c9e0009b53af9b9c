"""What a fleet needs beside its jobs: secrets that all its masters share, and the tokens of its workers."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, LargeBinary, Text, text
from sqlalchemy.schema import PrimaryKeyConstraint

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "secrets",
        Column("name", Text(), nullable=False),
        Column("value", LargeBinary(), nullable=False),
        PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "tokens",
        Column("id", Text(), nullable=False),
        Column("name", Text(), nullable=False),
        Column("secret_hash", Text(), nullable=False),
        Column("created_at", Double[float](), nullable=False),
        Column("revoked_at", Double[float]()),
        PrimaryKeyConstraint("id"),
    )
    alive = text("revoked_at IS NULL")
    op.create_index("token_names", "tokens", ["name"], unique=True, sqlite_where=alive, postgresql_where=alive)
