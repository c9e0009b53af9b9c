"""Tables as lines of plain text: as wide as the terminal and no wider, and as long as they need to be."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reelmill.cli.output import to_cell
from reelmill.launcher.plain_text import one_line

_PROSE = frozenset({"found", "advice", "reason", "error", "trouble"})
"""Columns of sentences: they may take several lines on a narrow terminal."""
_LEAST_PROSE = 16
_ID = "id"
"""Its beginning is enough in a command, so it is shortened without a mark that nobody can type."""
_NOTHING = ("", "0", "0%")
_GAP = "  "


class TableWriter:
    """Fits the columns to the first rows that come, and writes all further ones the same way.

    On a terminal, columns are left out until the rest fits: those without a value or count first, then ``expendable``
    in their order. Sentences are folded, and columns that are in ``brief`` shortened to no less than it says. A later
    cell that is longer than its column is cut. Elsewhere nothing is left out or cut: a program may read it.
    """

    def __init__(
        self,
        columns: Sequence[str],
        expendable: Sequence[str] = (),
        width: int | None = None,
        brief: Mapping[str, int] | None = None,
    ) -> None:
        terminal = sys.stdout.isatty()
        self._limit = width or (shutil.get_terminal_size().columns if terminal else None)
        self._bold = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM", "") not in ("", "dumb")
        self._columns = list(columns)
        self._expendable = list(expendable)
        self._least = {**dict.fromkeys(_PROSE, _LEAST_PROSE), **(brief or {})}
        self._widths: list[int] | None = None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        cells = [{column: one_line(to_cell(row.get(column))) for column in self._columns} for row in rows]
        if self._widths is None:
            self._widths = self._fit(cells)
            head = next(self._lines([column.replace("_", " ") for column in self._columns]))
            sys.stdout.write(f"\x1b[1m{head}\x1b[0m\n" if self._bold else f"{head}\n")
        for row in cells:
            for line in self._lines([row[column] for column in self._columns]):
                sys.stdout.write(line + "\n")

    def end(self) -> None:
        pass

    def _fit(self, rows: list[dict[str, str]]) -> list[int]:
        widths = {
            column: max([text_width(column), *(text_width(row[column]) for row in rows)]) for column in self._columns
        }
        if self._limit is None:
            return [*widths.values()]
        empty = [column for column in self._expendable if all(row[column] in _NOTHING for row in rows)]
        for column in (*empty, *self._expendable):
            if _total(widths) - sum(self._spare(widths).values()) <= self._limit:
                break
            widths.pop(column, None)
        while (excess := _total(widths) - self._limit) > 0 and (spare := self._spare(widths)):
            widest = max(spare, key=widths.__getitem__)
            widths[widest] -= min(excess, spare[widest], 8)
        self._columns = list(widths)
        return [*widths.values()]

    def _spare(self, widths: Mapping[str, int]) -> dict[str, int]:
        """By how much each column may get narrower."""
        spare = {column: width - self._least.get(column, width) for column, width in widths.items()}
        return {column: width for column, width in spare.items() if width > 0}

    def _lines(self, cells: Sequence[str]) -> Iterator[str]:
        assert self._widths is not None
        folded = [
            self._fold(column, cell, width)
            for column, cell, width in zip(self._columns, cells, self._widths, strict=True)
        ]
        for parts in itertools.zip_longest(*folded, fillvalue=""):
            padded = [part + " " * (width - text_width(part)) for part, width in zip(parts, self._widths, strict=True)]
            yield _GAP.join(padded).rstrip()

    def _fold(self, column: str, cell: str, width: int) -> list[str]:
        if self._limit is None or text_width(cell) <= width:
            return [cell]
        if column in _PROSE:
            return textwrap.wrap(cell, width, break_on_hyphens=False)
        return [cell[:width] if column == _ID else _cut(cell, width)]


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _cut(text: str, width: int) -> str:
    while text_width(text) >= width and text:
        text = text[:-1]
    return text + "…"
