"""A tenant may have a limit of the jobs that wait, with or without one of those that run; what waits is counted.

SQLite cannot change constraints, so `tenants`, a few rows, is written anew there; PostgreSQL alters it in place.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text
from sqlalchemy.schema import CheckConstraint, PrimaryKeyConstraint

revision = "0003"
down_revision = "0002"

_CHECKS = {
    "tenants_queue_limit": "max_queued >= 0",
    "tenants_has_limit": "max_running IS NOT NULL OR max_queued IS NOT NULL",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_on_sqlite()
    else:
        op.add_column("tenants", Column("max_queued", Integer()))
        op.alter_column("tenants", "max_running", nullable=True)
        for name, words in _CHECKS.items():
            op.create_check_constraint(name, "tenants", words)
    op.create_table(
        "tenant_counts",
        Column("tenant", Text(), nullable=False),
        Column("waiting", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
        CheckConstraint("waiting >= 0", name="tenant_counts_not_negative"),
        PrimaryKeyConstraint("tenant"),
    )
    op.execute(
        "INSERT INTO tenant_counts SELECT tenant, count(*) FROM jobs "
        "WHERE status IN ('queued','retrying','paused') GROUP BY tenant"
    )


def _rebuild_on_sqlite() -> None:
    op.create_table(
        "new_tenants",
        Column("name", Text(), nullable=False),
        Column("max_running", Integer()),
        Column("max_queued", Integer()),
        CheckConstraint("max_running >= 0", name="tenants_limit"),
        *(CheckConstraint(words, name=name) for name, words in _CHECKS.items()),
        PrimaryKeyConstraint("name"),
    )
    op.execute("INSERT INTO new_tenants (name, max_running) SELECT name, max_running FROM tenants")
    op.execute("DROP TABLE tenants")
    op.execute("ALTER TABLE new_tenants RENAME TO tenants")
