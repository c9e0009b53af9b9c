"""How commands show their results: a table for people; JSON, NDJSON or CSV for programs. Data goes to stdout."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol

import typer

Row = Mapping[str, Any]


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="How to show the result.")]


class RowWriter(Protocol):
    """Writes rows as they come, so that any number of them takes the same memory."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some more rows."""
        ...

    def end(self) -> None:
        """Write what belongs behind the last row."""
        ...


def make_writer(
    columns: Sequence[str],
    how: Format,
    *,
    expendable: Sequence[str] = (),
    width: int | None = None,
    brief: Mapping[str, int] | None = None,
) -> RowWriter:
    """A writer to stdout: all fields as JSON or NDJSON, the named columns as a table or CSV.

    On a narrow terminal a table leaves out the ``expendable`` columns, the first of them first, and shortens those that
    are ``brief``. Without a terminal it is as wide as it needs to be, or ``width`` columns.
    """
    match how:
        case Format.JSON:
            return _JsonWriter()
        case Format.NDJSON:
            return _NdjsonWriter()
        case Format.CSV:
            return _CsvWriter(columns)
        case Format.TABLE:
            from reelmill.cli.table import TableWriter

            return TableWriter(columns, expendable, None if sys.stdout.isatty() else width, brief)


def show_rows(
    rows: Sequence[Row],
    columns: Sequence[str],
    how: Format,
    *,
    expendable: Sequence[str] = (),
    width: int | None = None,
    brief: Mapping[str, int] | None = None,
) -> None:
    """Print rows that are all there."""
    writer = make_writer(columns, how, expendable=expendable, width=width, brief=brief)
    writer.write(rows)
    writer.end()


def show_record(record: Row, how: Format) -> None:
    """Print one thing: as JSON, or one line for each of its fields."""
    match how:
        case Format.JSON:
            write_text(_to_json(record, indent=2) + "\n")
        case Format.NDJSON:
            write_text(_to_json(record) + "\n")
        case Format.CSV:
            show_rows([record], list(record), how)
        case Format.TABLE:
            from reelmill.launcher.plain_text import one_line

            width = max(len(name) for name in record)
            for name, value in record.items():
                sys.stdout.write(f"{name.ljust(width)}  {one_line(to_cell(value))}\n")


def write_text(text: str) -> None:
    """Write to stdout: to a program as it is, to a terminal without what would control it."""
    if sys.stdout.isatty():
        from reelmill.launcher.plain_text import showable

        text = showable(text)
    sys.stdout.write(text)


def say(line: str) -> None:
    """Write one line to stdout, at once: who waits reads along."""
    write_text(line + "\n")
    sys.stdout.flush()


def to_cell(value: Any) -> str:
    """A value as text: as it is, or as JSON when it is not simple."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else _to_json(value)


def local_time(moment: str | None) -> str:
    """A time of the API (RFC 3339) as people read it here: local, to the second."""
    if not moment:
        return ""
    from datetime import datetime

    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"


def _to_json(value: Any, *, indent: int = 0) -> str:
    import msgspec

    encoded = msgspec.json.encode(value)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()


class _JsonWriter:
    """An array, as if it were encoded whole."""

    def __init__(self) -> None:
        self._count = 0

    def write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            text = _to_json(row, indent=2).replace("\n", "\n  ")
            write_text((",\n  " if self._count else "[\n  ") + text)
            self._count += 1

    def end(self) -> None:
        write_text("\n]\n" if self._count else "[]\n")


class _NdjsonWriter:
    def write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            write_text(_to_json(row) + "\n")

    def end(self) -> None:
        pass


class _CsvWriter:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._csv = csv.writer(_Text(), lineterminator="\n")
        self._csv.writerow(columns)

    def write(self, rows: Iterable[Row]) -> None:
        self._csv.writerows([to_cell(row.get(column)) for column in self._columns] for row in rows)

    def end(self) -> None:
        pass


class _Text:
    def write(self, text: str) -> None:
        write_text(text)
