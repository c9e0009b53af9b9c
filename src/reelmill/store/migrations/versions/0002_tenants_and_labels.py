"""Jobs ask for labels of a node; lanes know tenant and labels; tenants may have a limit; a lease says who is held.

When a worker ends, or takes no jobs for now, its node says so.
When a retry is due has a column of its own, which only a job that waits for it has: its index is nobody else's.

SQLite cannot change constraints, so `lanes` and `jobs` are written anew there; PostgreSQL alters them in place.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, Integer, Text, text
from sqlalchemy.schema import CheckConstraint, PrimaryKeyConstraint

revision = "0002"
down_revision = "0001"

_LEASE_HAS_HOLDER = (
    "lease_until IS NULL OR (status IN ('assigned','running','paused') AND node_id IS NOT NULL AND attempt > 0)"
)
_PASSED_OVER_IS_READY = "passed_over_at IS NULL OR ready"
_RETRY_HAS_TIME = "(status = 'retrying' AND NOT ready) = (due_at IS NOT NULL)"
_NEEDS = ["engine", "codec", "cost", "tenant", "node_labels"]


def upgrade() -> None:
    op.create_table(
        "tenants",
        Column("name", Text(), nullable=False),
        Column("max_running", Integer(), nullable=False),
        CheckConstraint("max_running >= 0", name="tenants_limit"),
        PrimaryKeyConstraint("name"),
    )
    op.add_column("nodes", Column("stopping_at", Double[float]()))
    op.add_column("nodes", Column("trouble", Text()))
    # No code left either on such jobs; should a row have one all the same, it must not stop the upgrade.
    op.execute(
        "UPDATE jobs SET lease_until = NULL WHERE lease_until IS NOT NULL AND status NOT IN ('assigned','running')"
    )
    op.execute("UPDATE jobs SET passed_over_at = NULL, reserved_node = NULL WHERE NOT ready")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_on_sqlite()
    else:
        _alter()
    _create_partial_index("jobs_backoff", ["due_at"], "due_at IS NOT NULL")
    op.create_index("jobs_by_rank", "jobs", ["rank", "sequence_number"])
    op.create_index("jobs_by_scenario", "jobs", ["scenario", "sequence_number"])
    _create_partial_index("jobs_held", ["node_id", "lease_until"], "lease_until IS NOT NULL")
    _create_partial_index("jobs_passed_over", ["lane_id", "rank", "sequence_number"], "passed_over_at IS NOT NULL")
    _create_partial_index("jobs_settled", ["lease_until"], "winner IS NOT NULL AND lease_until IS NOT NULL")


def _create_partial_index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, "jobs", columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _alter() -> None:
    for table, column, value in (
        ("lanes", "tenant", "default"),
        ("lanes", "node_labels", "{}"),
        ("jobs", "node_labels", "{}"),
    ):
        # The value is in the catalogue, not written to every row: it takes as long for a million jobs as for one.
        op.add_column(table, Column(column, Text(), nullable=False, server_default=value))
        op.alter_column(table, column, server_default=None)
    op.drop_constraint("lanes_needs", "lanes")
    op.create_unique_constraint("lanes_needs", "lanes", _NEEDS)
    op.create_check_constraint("jobs_lease_has_holder", "jobs", _LEASE_HAS_HOLDER)
    op.create_check_constraint("jobs_passed_over_is_ready", "jobs", _PASSED_OVER_IS_READY)
    op.drop_index("jobs_held", "jobs")
    op.drop_index("jobs_backoff", "jobs")
    op.add_column("jobs", Column("due_at", Double[float]()))
    op.execute("UPDATE jobs SET due_at = eligible_at WHERE status = 'retrying' AND NOT ready")
    op.drop_constraint("jobs_retry_has_time", "jobs")
    op.create_check_constraint("jobs_retry_has_time", "jobs", _RETRY_HAS_TIME)
    # The entries of jobs that were given away stay at the front of the index until a vacuum, and every claim walks past
    # them: a fifth of the table, as by default, is too many.
    op.execute("ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000)")


def _rebuild_on_sqlite() -> None:
    """Copy both tables under new names, then rename them: a rename takes the foreign keys that point to it along."""
    op.execute(_NEW_LANES)
    op.execute("INSERT INTO new_lanes SELECT id, engine, codec, cost, 'default', '{}' FROM lanes")
    op.execute(_NEW_JOBS)
    op.execute(
        "INSERT INTO new_jobs SELECT *, '{}', CASE WHEN status = 'retrying' AND NOT ready THEN eligible_at END "
        "FROM jobs ORDER BY sequence_number"
    )
    # Numbers go on behind the highest ever given, which need not be that of a job that is still there.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'new_jobs'")
    op.execute("INSERT INTO sqlite_sequence SELECT 'new_jobs', seq FROM sqlite_sequence WHERE name = 'jobs'")
    op.execute("DROP TABLE jobs")
    op.execute("DROP TABLE lanes")
    op.execute("ALTER TABLE new_lanes RENAME TO lanes")
    op.execute("ALTER TABLE new_jobs RENAME TO jobs")
    _create_partial_index("jobs_key", ["tenant", "idempotency_key"], "idempotency_key IS NOT NULL", unique=True)
    _create_partial_index("jobs_ready", ["lane_id", "rank", "sequence_number"], "ready")
    _create_partial_index("jobs_ended", ["completed_at"], "completed_at IS NOT NULL")
    _create_partial_index("jobs_by_launch", ["launch_id", "sequence_number"], "launch_id IS NOT NULL")
    op.create_index("jobs_by_status", "jobs", ["status", "sequence_number"])


_NEW_LANES = """
CREATE TABLE new_lanes (
    id INTEGER NOT NULL,
    engine TEXT NOT NULL,
    codec TEXT NOT NULL,
    cost INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    node_labels TEXT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT lanes_needs UNIQUE (engine, codec, cost, tenant, node_labels)
)
"""

_NEW_JOBS = f"""
CREATE TABLE new_jobs (
    sequence_number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    launch_id TEXT,
    scenario TEXT NOT NULL,
    engine TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority TEXT NOT NULL,
    status TEXT NOT NULL,
    parameters TEXT NOT NULL,
    labels TEXT NOT NULL,
    confidence TEXT,
    created_at DOUBLE NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    eligible_at DOUBLE,
    node_id TEXT,
    node_name TEXT,
    lease_until DOUBLE,
    winner INTEGER,
    progress DOUBLE NOT NULL,
    fps DOUBLE,
    speed DOUBLE,
    eta DOUBLE,
    assigned_at DOUBLE,
    started_at DOUBLE,
    completed_at DOUBLE,
    failure_reason TEXT,
    error_code TEXT,
    error TEXT,
    result TEXT,
    idempotency_key TEXT,
    fingerprint TEXT,
    lane_id INTEGER NOT NULL,
    rank SMALLINT NOT NULL,
    ready BOOLEAN NOT NULL,
    passed_over_at DOUBLE,
    reserved_node TEXT,
    node_labels TEXT NOT NULL,
    due_at DOUBLE,
    CONSTRAINT jobs_status CHECK (status IN ('queued','assigned','running','retrying','paused','completed','failed','canceled','timed_out')),
    CONSTRAINT jobs_order CHECK (queue IN ('live','default','batch') AND priority IN ('high','medium','low')),
    CONSTRAINT jobs_rank CHECK (rank BETWEEN 0 AND 8),
    CONSTRAINT jobs_ended_has_time CHECK ((status IN ('completed','failed','canceled','timed_out')) = (completed_at IS NOT NULL)),
    CONSTRAINT jobs_held_has_lease CHECK (status NOT IN ('assigned','running') OR (node_id IS NOT NULL AND lease_until IS NOT NULL AND attempt > 0)),
    CONSTRAINT jobs_lease_has_holder CHECK ({_LEASE_HAS_HOLDER}),
    CONSTRAINT jobs_running_has_start CHECK (status <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT jobs_ready_waits CHECK (NOT ready OR status IN ('queued','retrying')),
    CONSTRAINT jobs_queued_is_ready CHECK (status <> 'queued' OR ready),
    CONSTRAINT jobs_passed_over_is_ready CHECK ({_PASSED_OVER_IS_READY}),
    CONSTRAINT jobs_retry_has_time CHECK ({_RETRY_HAS_TIME}),
    CONSTRAINT jobs_completed_has_winner CHECK (status <> 'completed' OR (winner IS NOT NULL AND winner = attempt AND result IS NOT NULL)),
    CONSTRAINT jobs_failed_has_reason CHECK (status <> 'failed' OR failure_reason IS NOT NULL),
    FOREIGN KEY(lane_id) REFERENCES new_lanes (id),
    FOREIGN KEY(launch_id) REFERENCES launches (id),
    UNIQUE (id)
)
"""  # noqa: E501 - the words of the code's CHECKs, each in one line as SQLite keeps them
