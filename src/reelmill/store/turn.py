"""Turns: what any master may do, and one at a time is enough for."""

from __future__ import annotations

from sqlalchemy import text

from reelmill.store.protocol import Tx

_TRY = text("SELECT pg_try_advisory_xact_lock(hashtext('reelmill'), hashtext(:work))")


def is_our_turn(tx: Tx, work: str) -> bool:
    """Whether no other master that shares the database does that ``work`` now; ours until the transaction ends."""
    return tx.dialect.name != "postgresql" or tx.execute(_TRY, {"work": work}).scalar_one()
