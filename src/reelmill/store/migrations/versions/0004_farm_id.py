"""A farm has an id of its own, drawn with its tables: whoever meets it at another address knows it again."""

from __future__ import annotations

import uuid

from alembic import op
from sqlalchemy import Column, Text
from sqlalchemy.schema import PrimaryKeyConstraint

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    farm = op.create_table("farm", Column("id", Text(), nullable=False), PrimaryKeyConstraint("id"))
    op.bulk_insert(farm, [{"id": str(uuid.uuid4())}])
