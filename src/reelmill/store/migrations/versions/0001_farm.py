"""The first tables: jobs with their lanes, launches, history and logs; counts; nodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Double = sa.Double[float]()

_JOB_CHECKS = (
    sa.CheckConstraint(
        "(status IN ('completed','failed','canceled','timed_out')) = (completed_at IS NOT NULL)",
        name="jobs_ended_has_time",
    ),
    sa.CheckConstraint("NOT ready OR status IN ('queued','retrying')", name="jobs_ready_waits"),
    sa.CheckConstraint(
        "queue IN ('live','default','batch') AND priority IN ('high','medium','low')", name="jobs_order"
    ),
    sa.CheckConstraint(
        "status <> 'completed' OR (winner IS NOT NULL AND winner = attempt AND result IS NOT NULL)",
        name="jobs_completed_has_winner",
    ),
    sa.CheckConstraint("status <> 'failed' OR failure_reason IS NOT NULL", name="jobs_failed_has_reason"),
    sa.CheckConstraint("status <> 'queued' OR ready", name="jobs_queued_is_ready"),
    sa.CheckConstraint("status <> 'retrying' OR eligible_at IS NOT NULL", name="jobs_retry_has_time"),
    sa.CheckConstraint("status <> 'running' OR started_at IS NOT NULL", name="jobs_running_has_start"),
    sa.CheckConstraint(
        "status IN ('queued','assigned','running','retrying','paused','completed','failed','canceled','timed_out')",
        name="jobs_status",
    ),
    sa.CheckConstraint(
        "status NOT IN ('assigned','running') OR (node_id IS NOT NULL AND lease_until IS NOT NULL AND attempt > 0)",
        name="jobs_held_has_lease",
    ),
    sa.CheckConstraint("rank BETWEEN 0 AND 8", name="jobs_rank"),
)


def upgrade() -> None:
    _create_small_tables()
    _create_jobs()
    _create_job_indexes()
    _create_records()
    _create_counts()


def _create_small_tables() -> None:
    op.create_table(
        "lanes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("cost", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("engine", "codec", "cost", name="lanes_needs"),
    )
    op.create_table(
        "launches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("created_at", _Double, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", _Double, nullable=False),
        sa.Column("last_seen", _Double, nullable=False),
        sa.Column("left_at", _Double, nullable=True),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("sequence_number", _BigKey, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("launch_id", sa.Text(), nullable=True),
        sa.Column("scenario", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Text(), nullable=True),
        sa.Column("created_at", _Double, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("eligible_at", _Double, nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("node_name", sa.Text(), nullable=True),
        sa.Column("lease_until", _Double, nullable=True),
        sa.Column("winner", sa.Integer(), nullable=True),
        sa.Column("progress", _Double, nullable=False),
        sa.Column("fps", _Double, nullable=True),
        sa.Column("speed", _Double, nullable=True),
        sa.Column("eta", _Double, nullable=True),
        sa.Column("assigned_at", _Double, nullable=True),
        sa.Column("started_at", _Double, nullable=True),
        sa.Column("completed_at", _Double, nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("passed_over_at", _Double, nullable=True),
        sa.Column("reserved_node", sa.Text(), nullable=True),
        *_JOB_CHECKS,
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"]),
        sa.ForeignKeyConstraint(["launch_id"], ["launches.id"]),
        sa.PrimaryKeyConstraint("sequence_number"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )


def _create_job_indexes() -> None:
    op.create_index(
        "jobs_ended",
        "jobs",
        ["completed_at"],
        unique=False,
        sqlite_where=sa.text("completed_at IS NOT NULL"),
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_backoff",
        "jobs",
        ["eligible_at"],
        unique=False,
        sqlite_where=sa.text("status = 'retrying' AND NOT ready"),
        postgresql_where=sa.text("status = 'retrying' AND NOT ready"),
    )
    op.create_index(
        "jobs_by_launch",
        "jobs",
        ["launch_id", "sequence_number"],
        unique=False,
        sqlite_where=sa.text("launch_id IS NOT NULL"),
        postgresql_where=sa.text("launch_id IS NOT NULL"),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "sequence_number"], unique=False)
    op.create_index(
        "jobs_held",
        "jobs",
        ["node_id", "lease_until"],
        unique=False,
        sqlite_where=sa.text("status IN ('assigned','running')"),
        postgresql_where=sa.text("status IN ('assigned','running')"),
    )
    op.create_index(
        "jobs_key",
        "jobs",
        ["tenant", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "jobs_ready",
        "jobs",
        ["lane_id", "rank", "sequence_number"],
        unique=False,
        sqlite_where=sa.text("ready"),
        postgresql_where=sa.text("ready"),
    )


def _create_records() -> None:
    op.create_table(
        "history",
        sa.Column("id", _BigKey, nullable=False),
        sa.Column("sequence_number", _BigKey, nullable=False),
        sa.Column("at", _Double, nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("node_name", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "logs",
        sa.Column("sequence_number", _BigKey, autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("node_name", sa.Text(), nullable=True),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence_number", "attempt"),
    )
    op.create_index("history_by_job", "history", ["sequence_number", "id"], unique=False)


def _create_counts() -> None:
    op.create_table(
        "counts",
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("scenario", sa.Text(), nullable=False),
        sa.Column("n", _BigKey, nullable=False),
        sa.CheckConstraint("n >= 0", name="counts_not_negative"),
        sa.PrimaryKeyConstraint("status", "queue", "priority", "scenario"),
    )
    op.create_table(
        "launch_counts",
        sa.Column("launch_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", _BigKey, nullable=False),
        sa.CheckConstraint("n >= 0", name="launch_counts_not_negative"),
        sa.PrimaryKeyConstraint("launch_id", "status"),
    )
