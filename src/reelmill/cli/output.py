"""How commands show their results: a table for people; JSON, NDJSON or CSV for programs. Data goes to stdout."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

_PROSE = frozenset({"found", "advice", "reason", "error"})
"""Columns of sentences: they may take several lines on a narrow terminal."""


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="How to show the result.")]


def show_rows(rows: Iterable[Mapping[str, Any]], columns: list[str], how: Format) -> None:
    """Print rows: all their fields as JSON or NDJSON, the named columns as a table or CSV."""
    match how:
        case Format.JSON:
            _write_json(list(rows))
        case Format.NDJSON:
            for row in rows:
                sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        case Format.CSV:
            writer = csv.writer(sys.stdout)
            writer.writerow(columns)
            writer.writerows([_plain(row.get(column)) for column in columns] for row in rows)
        case Format.TABLE:
            _print_table(rows, columns)


def show_record(record: Mapping[str, Any], how: Format) -> None:
    """Print one thing: as JSON, or one line for each of its fields."""
    match how:
        case Format.JSON | Format.NDJSON:
            _write_json(record)
        case Format.CSV:
            show_rows([record], list(record), how)
        case Format.TABLE:
            width = max(len(name) for name in record)
            for name, value in record.items():
                sys.stdout.write(f"{name.ljust(width)}  {_plain(value)}\n")


def _write_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _print_table(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:  # nothing may be cut or folded: a program may read it
        console = Console(width=10_000)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=column not in _PROSE, overflow="ellipsis")
    for row in rows:
        # Text, not str: what users named their things is not markup
        table.add_row(*(Text(_plain(row.get(column))) for column in columns))
    console.print(table)
