"""Each job keeps what its attempts used that came to nothing."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0013"
down_revision = "0010"


def upgrade() -> None:
    # The value is in the catalogue, not written to every row: it takes as long for a million jobs as for one.
    op.add_column("jobs", Column("lost_attempts", Text(), nullable=False, server_default="[]"))
