"""The tables. Illegal rows are refused by the schema itself; migrations/versions/ makes the same tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0012", "0008", "0009", "0010", "0013")
"""Every migration, oldest first."""

REVISION = REVISIONS[-1]
"""What this code works with; a database at an older one is migrated, one at an unknown one is refused."""

_BigKey = BigInteger().with_variant(Integer, "sqlite")
_Double = Double[float]()

metadata = MetaData()

farm = Table("farm", metadata, Column("id", Text, primary_key=True))
"""One row: which farm this is."""

lanes = Table(
    "lanes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("engine", Text, nullable=False),
    Column("codec", Text, nullable=False),
    Column("cost", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("node_labels", Text, nullable=False),  # JSON with sorted names: equal labels are equal text
    UniqueConstraint("engine", "codec", "cost", "tenant", "node_labels", name="lanes_needs"),
)

tenants = Table(
    "tenants",
    metadata,
    Column("name", Text, primary_key=True),
    Column("max_running", Integer),
    Column("max_queued", Integer),
    CheckConstraint("max_running >= 0", name="tenants_limit"),
    CheckConstraint("max_queued >= 0", name="tenants_queue_limit"),
    CheckConstraint("max_running IS NOT NULL OR max_queued IS NOT NULL", name="tenants_has_limit"),
)
"""The tenants that have a limit; one that is not here has none."""

launches = Table(
    "launches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("created_at", _Double, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("sequence_number", _BigKey, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("launch_id", Text, ForeignKey("launches.id")),
    Column("scenario", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("node_labels", Text, nullable=False),
    Column("confidence", Text),
    Column("created_at", _Double, nullable=False),
    Column("parent_id", Text),
    Column("definition", Text),  # of a scenario that is not built in, as it was when the job was accepted
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("eligible_at", _Double),
    Column("node_id", Text),
    Column("node_name", Text),
    Column("lease_until", _Double),
    Column("winner", Integer),
    Column("progress", _Double, nullable=False),
    Column("fps", _Double),
    Column("speed", _Double),
    Column("eta", _Double),
    Column("stream", Text),
    Column("assigned_at", _Double),
    Column("started_at", _Double),
    Column("completed_at", _Double),
    Column("failure_reason", Text),
    Column("error_code", Text),
    Column("error", Text),
    Column("result", Text),
    Column("chunk_plan", Text),
    Column("chunks", Integer, nullable=False, server_default="0"),
    Column("chunks_left", Integer, nullable=False, server_default="0"),
    Column("engine_used", Text),
    Column("engine_reason", Text),
    Column("lost_attempts", Text, nullable=False, server_default="[]"),
    # What only the store knows: how to find the job again.
    Column("idempotency_key", Text),
    Column("fingerprint", Text),
    Column("lane_id", Integer, ForeignKey("lanes.id"), nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("ready", Boolean(create_constraint=False), nullable=False),
    Column("due_at", _Double),  # of a retry that is not ready yet
    Column("passed_over_at", _Double),
    Column("reserved_node", Text),
    CheckConstraint(
        "status IN ('queued','assigned','running','retrying','paused','completed','failed','canceled','timed_out')",
        name="jobs_status",
    ),
    CheckConstraint("queue IN ('live','default','batch') AND priority IN ('high','medium','low')", name="jobs_order"),
    CheckConstraint("rank BETWEEN 0 AND 8", name="jobs_rank"),
    CheckConstraint(
        "(status IN ('completed','failed','canceled','timed_out')) = (completed_at IS NOT NULL)",
        name="jobs_ended_has_time",
    ),
    CheckConstraint(
        "status NOT IN ('assigned','running') OR (node_id IS NOT NULL AND lease_until IS NOT NULL AND attempt > 0)",
        name="jobs_held_has_lease",
    ),
    CheckConstraint(
        "lease_until IS NULL OR (status IN ('assigned','running','paused') AND node_id IS NOT NULL AND attempt > 0)",
        name="jobs_lease_has_holder",
    ),
    CheckConstraint("status <> 'running' OR started_at IS NOT NULL", name="jobs_running_has_start"),
    CheckConstraint("NOT ready OR status IN ('queued','retrying')", name="jobs_ready_waits"),
    CheckConstraint("status <> 'queued' OR ready = (chunks_left = 0)", name="jobs_queued_is_ready"),
    CheckConstraint("passed_over_at IS NULL OR ready", name="jobs_passed_over_is_ready"),
    CheckConstraint("(status = 'retrying' AND NOT ready) = (due_at IS NOT NULL)", name="jobs_retry_has_time"),
    CheckConstraint(
        "status <> 'completed' OR (winner IS NOT NULL AND winner = attempt AND result IS NOT NULL)",
        name="jobs_completed_has_winner",
    ),
    CheckConstraint("status <> 'failed' OR failure_reason IS NOT NULL", name="jobs_failed_has_reason"),
    sqlite_autoincrement=True,
)

Index(
    "jobs_key",
    jobs.c.tenant,
    jobs.c.idempotency_key,
    unique=True,
    sqlite_where=text("idempotency_key IS NOT NULL"),
    postgresql_where=text("idempotency_key IS NOT NULL"),
)
Index(
    "jobs_ready",
    jobs.c.lane_id,
    jobs.c.rank,
    jobs.c.sequence_number,
    sqlite_where=text("ready"),
    postgresql_where=text("ready"),
)
Index(
    "jobs_backoff",
    jobs.c.due_at,
    sqlite_where=text("due_at IS NOT NULL"),
    postgresql_where=text("due_at IS NOT NULL"),
)
Index(
    "jobs_held",
    jobs.c.node_id,
    jobs.c.lease_until,
    sqlite_where=text("lease_until IS NOT NULL"),
    postgresql_where=text("lease_until IS NOT NULL"),
)
Index(
    "jobs_ended",
    jobs.c.completed_at,
    sqlite_where=text("completed_at IS NOT NULL"),
    postgresql_where=text("completed_at IS NOT NULL"),
)
Index(
    "jobs_passed_over",
    jobs.c.lane_id,
    jobs.c.rank,
    jobs.c.sequence_number,
    sqlite_where=text("passed_over_at IS NOT NULL"),
    postgresql_where=text("passed_over_at IS NOT NULL"),
)
Index(
    "jobs_settled",
    jobs.c.lease_until,
    sqlite_where=text("winner IS NOT NULL AND lease_until IS NOT NULL"),
    postgresql_where=text("winner IS NOT NULL AND lease_until IS NOT NULL"),
)
Index(
    "jobs_by_parent",
    jobs.c.parent_id,
    jobs.c.sequence_number,
    sqlite_where=text("parent_id IS NOT NULL"),
    postgresql_where=text("parent_id IS NOT NULL"),
)
Index("jobs_by_status", jobs.c.status, jobs.c.sequence_number)
Index("jobs_by_rank", jobs.c.rank, jobs.c.sequence_number)
Index("jobs_by_scenario", jobs.c.scenario, jobs.c.sequence_number)
Index(
    "jobs_by_launch",
    jobs.c.launch_id,
    jobs.c.sequence_number,
    sqlite_where=text("launch_id IS NOT NULL"),
    postgresql_where=text("launch_id IS NOT NULL"),
)

IS_READY = text("ready")
"""Whether a job is eligible now, in the words of the index `jobs_ready`: SQLite uses it for no others."""

IS_HELD = text("lease_until IS NOT NULL")
"""Whether a node holds a job under a lease, be it running or paused, in the words of the index `jobs_held`."""

IS_SETTLED = text("winner IS NOT NULL AND lease_until IS NOT NULL")
"""Whether a job has its winner, whose output is to be published, in the words of the index `jobs_settled`."""

history = Table(
    "history",
    metadata,
    Column("id", _BigKey, primary_key=True),
    Column("sequence_number", _BigKey, nullable=False),
    Column("at", _Double, nullable=False),
    Column("from_status", Text, nullable=False),
    Column("to_status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("node_name", Text),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,  # the number of an event: never another's, also when the newest are forgotten
)
Index("history_by_job", history.c.sequence_number, history.c.id)

logs = Table(
    "logs",
    metadata,
    Column("sequence_number", _BigKey, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("node_name", Text),
    Column("command", Text, nullable=False),
    Column("text", Text, nullable=False),
)

counts = Table(
    "counts",
    metadata,
    Column("status", Text, primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("scenario", Text, primary_key=True),
    Column("n", _BigKey, nullable=False),
    CheckConstraint("n >= 0", name="counts_not_negative"),
)

launch_counts = Table(
    "launch_counts",
    metadata,
    Column("launch_id", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("n", _BigKey, nullable=False),
    CheckConstraint("n >= 0", name="launch_counts_not_negative"),
)

tenant_counts = Table(
    "tenant_counts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("waiting", _BigKey, nullable=False),
    CheckConstraint("waiting >= 0", name="tenant_counts_not_negative"),
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("capabilities", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", _Double, nullable=False),
    Column("last_seen", _Double, nullable=False),
    Column("left_at", _Double),
    Column("draining", Boolean(create_constraint=False), nullable=False),
    Column("stopping_at", _Double),
    Column("trouble", Text),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", _Double, nullable=False),
    Column("revoked_at", _Double),
)
Index(
    "token_names",
    tokens.c.name,
    unique=True,
    sqlite_where=tokens.c.revoked_at.is_(None),
    postgresql_where=tokens.c.revoked_at.is_(None),
)
