"""Secrets that all masters of a farm share: made by the first that needs one, found by the others."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, select, text

from reelmill.store.protocol import Tx
from reelmill.store.schema import secrets

_KEEP = text("INSERT INTO secrets (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_FIND = select(secrets.c.value).where(secrets.c.name == bindparam("name"))


def shared_secret(tx: Tx, name: str, make: Callable[[], bytes]) -> bytes:
    """The secret of that name; the first call, of whichever master, makes it."""
    found = tx.execute(_FIND, {"name": name}).scalar()
    if found is None:
        tx.execute(_KEEP, {"name": name, "value": make()})
        found = tx.execute(_FIND, {"name": name}).scalar_one()
    return bytes(found)
