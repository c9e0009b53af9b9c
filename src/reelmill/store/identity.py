"""Which farm a database is of."""

from __future__ import annotations

from sqlalchemy import select

from reelmill.store.protocol import Tx
from reelmill.store.schema import farm

_ID = select(farm.c.id)


def farm_id(tx: Tx) -> str:
    """Drawn when the database was made or upgraded, and never changed: all masters that share it are one farm."""
    return tx.execute(_ID).scalar_one()
