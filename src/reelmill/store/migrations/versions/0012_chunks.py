"""A job may be split into chunks, jobs under a parent; the parent waits for them: it is queued and not ready.

SQLite cannot change constraints, so `jobs` is written anew there from the words it has; PostgreSQL alters it in place.
"""

from __future__ import annotations

import re

from alembic import op
from sqlalchemy import Column, Integer, Text, text

revision = "0012"
down_revision = "0006"

_CHECK = "jobs_queued_is_ready"
_WAS = "status <> 'queued' OR ready"
_IS = "status <> 'queued' OR ready = (chunks_left = 0)"
_SAVED = text("SELECT sql FROM sqlite_master WHERE tbl_name = 'jobs' AND type = :type AND sql IS NOT NULL")


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("chunks", "chunks_left"):
        # The value is in the catalogue, not written to every row: it takes as long for a million jobs as for one.
        op.add_column("jobs", Column(name, Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", Column("chunk_plan", Text()))
    op.add_column("jobs", Column("parent_id", Text()))
    if is_sqlite:
        _rebuild_on_sqlite()
    else:
        op.drop_constraint(_CHECK, "jobs")
        op.create_check_constraint(_CHECK, "jobs", _IS)
    where = text("parent_id IS NOT NULL")
    op.create_index(
        "jobs_by_parent", "jobs", ["parent_id", "sequence_number"], sqlite_where=where, postgresql_where=where
    )


def _rebuild_on_sqlite() -> None:
    [table] = op.get_bind().execute(_SAVED, {"type": "table"}).scalars().all()
    indexes = op.get_bind().execute(_SAVED, {"type": "index"}).scalars().all()
    words = re.sub(r'^CREATE TABLE "?jobs"?', "CREATE TABLE new_jobs", table)
    op.execute(words.replace(f"{_CHECK} CHECK ({_WAS})", f"{_CHECK} CHECK ({_IS})"))
    op.execute("INSERT INTO new_jobs SELECT * FROM jobs ORDER BY sequence_number")
    # Numbers go on behind the highest ever given, which need not be that of a job that is still there.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'new_jobs'")
    op.execute("INSERT INTO sqlite_sequence SELECT 'new_jobs', seq FROM sqlite_sequence WHERE name = 'jobs'")
    op.execute("DROP TABLE jobs")
    op.execute("ALTER TABLE new_jobs RENAME TO jobs")
    for index in indexes:
        op.execute(index)
