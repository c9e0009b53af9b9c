"""A job keeps what its scenario was when it was accepted, if that is one of the settings: these may change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("definition", sa.Text()))
