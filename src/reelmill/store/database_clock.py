"""The clock of the database's server, as a master beside it sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import text

from reelmill.store.protocol import Tx

_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class ClockGap(NamedTuple):
    """By how many seconds ``now`` is ahead of the database's clock, give or take ``doubt``: half the round trip."""

    seconds: float
    doubt: float

    @property
    def least(self) -> float:
        """So many seconds at least they are apart."""
        return max(0.0, abs(self.seconds) - self.doubt)


def clock_gap(tx: Tx, now: Callable[[], float]) -> ClockGap | None:
    """How far they are apart; None on SQLite, which has no clock but this machine's."""
    if tx.dialect.name != "postgresql":
        return None
    before = now()
    there = tx.execute(_NOW).scalar_one()
    after = now()
    return ClockGap((before + after) / 2 - there, abs(after - before) / 2)
