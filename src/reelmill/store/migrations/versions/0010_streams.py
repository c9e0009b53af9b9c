"""Each job keeps how the stream that it sends did at the last sign of life."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("jobs", Column("stream", Text()))
