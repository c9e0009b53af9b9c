"""Many rows in one statement.

A statement for each row costs a round trip on PostgreSQL; on SQLite it takes and gives Python's lock each time, so that
the writer's thread waits for every other one. Here both take many rows at once, each in its own fastest way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from reelmill.store.protocol import Tx

_MOST = 64
"""Rows in one statement on SQLite; more gain nothing, and each number of rows is a statement to be kept prepared."""

Row = tuple[Any, ...]


class BulkInsert:
    """New rows of one table, their values in the order of ``columns``: COPY on PostgreSQL."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        names = ", ".join(columns)
        self._copy = f"COPY {table.name} ({names}) FROM STDIN"
        self._insert = f"INSERT INTO {table.name} ({names}) VALUES "  # noqa: S608 (names of our own)
        self._row = _placeholders(len(columns))

    def run(self, tx: Tx, rows: Sequence[Row]) -> None:
        """Insert the rows."""
        if not rows:
            return
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql(self._copy, list(rows))
            return
        for some in _slices(rows):
            tx.exec_driver_sql(self._insert + ", ".join([self._row] * len(some)), tuple(chain.from_iterable(some)))


class BulkStatement:
    """A statement that reads the rows as ``{new}``, a table of that name with these columns, of these types."""

    def __init__(self, sql: str, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self._sql = sql
        self._names = tuple(columns)
        self._row = _placeholders(len(columns))
        dialect = postgresql.dialect()
        typed = ", ".join(f"{name} {kind.compile(dialect=dialect)}" for name, kind in columns.items())
        self._postgresql = sql.replace("{new}", f"json_to_recordset(%s::json) AS new({typed})")
        self._named = ", ".join(f"column{number} AS {name}" for number, name in enumerate(columns, 1))

    def run(self, tx: Tx, rows: Sequence[Row]) -> int:
        """Execute it; how many rows it changed."""
        if not rows:
            return 0
        if tx.dialect.name == "postgresql":
            records = msgspec.json.encode([dict(zip(self._names, row, strict=True)) for row in rows]).decode()
            return tx.exec_driver_sql(self._postgresql, (records,)).rowcount
        return sum(
            tx.exec_driver_sql(self._sqlite(len(some)), tuple(chain.from_iterable(some))).rowcount
            for some in _slices(rows)
        )

    def _sqlite(self, n: int) -> str:
        values = ", ".join([self._row] * n)
        rows = f"(SELECT {self._named} FROM (VALUES {values})) AS new"  # noqa: S608 (names of our own)
        return self._sql.replace("{new}", rows)


class BulkSelect:
    """A query whose ``{values}`` is a list of values of any length, as in ``id IN {values}``.

    ``lock`` is said at its end where several masters share the database: what it finds is theirs until the commit.
    """

    def __init__(self, sql: str, lock: str) -> None:
        self._sqlite = sql.replace("{values}", "(SELECT value FROM json_each(?))")
        self._postgresql = sql.replace("IN {values}", "= ANY(%s)") + f" {lock}"

    def run(self, tx: Tx, values: Sequence[int] | Sequence[str]) -> Sequence[Sequence[Any]]:
        """The rows."""
        if not values:
            return []
        if tx.dialect.name == "postgresql":
            return tx.exec_driver_sql(self._postgresql, (list(values),)).all()
        return tx.exec_driver_sql(self._sqlite, (msgspec.json.encode(values).decode(),)).all()


def _placeholders(n: int) -> str:
    return f"({', '.join('?' * n)})"


def _slices(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in slices of `_MOST`, and the rest in powers of two: a few sizes, so a few statements to prepare."""
    start = 0
    while start < len(rows):
        size = min(_MOST, 1 << (len(rows) - start).bit_length() - 1)
        yield rows[start : start + size]
        start += size
