"""Each job keeps the engine that its last attempt was given, and why that one."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("engine_used", "engine_reason"):
        op.add_column("jobs", Column(name, Text()))
