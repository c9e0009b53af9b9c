"""The number of a row of the history is never given again: it is the id of an event, behind which readers go on.

SQLite gives the number of the newest row again once that row is forgotten, unless its table says AUTOINCREMENT, which
only a new table can. The numbers of PostgreSQL come from a sequence already.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

_NEW_HISTORY = """
CREATE TABLE new_history (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sequence_number INTEGER NOT NULL,
    at DOUBLE NOT NULL,
    from_status TEXT NOT NULL,
    to_status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    node_name TEXT,
    reason TEXT NOT NULL
)
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(_NEW_HISTORY)
    op.execute("INSERT INTO new_history SELECT * FROM history ORDER BY id")
    op.execute("DROP TABLE history")
    op.execute("ALTER TABLE new_history RENAME TO history")
    op.create_index("history_by_job", "history", ["sequence_number", "id"])
