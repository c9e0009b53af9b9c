"""How Alembic reaches the database: through the connection that `reelmill.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from reelmill.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
