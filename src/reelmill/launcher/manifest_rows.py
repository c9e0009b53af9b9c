"""The rows of a manifest (CSV, NDJSON, a JSON array), one at a time and in constant memory, each with its line."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

MOST_LINE_BYTES = 1_000_000
"""No row of a manifest is longer; a longer line is some other file."""

_CHUNK = 1 << 16
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """One row: its first line in the file, and its fields; ``error`` when it is none."""

    line: int
    fields: dict[str, object]
    error: str | None = None


class BrokenManifest(Exception):
    """Nothing can be read from ``line`` on; the message says why."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_csv(file: BinaryIO) -> Iterator[Row]:
    """The rows below the first line, which names the columns; BrokenManifest when they are no table.

    Commas, or semicolons or tabs when the first line has those and no comma. Empty cells and empty lines are left out.
    """
    lines = _Lines(file)
    first = next(lines, "")
    if not first.strip():
        raise BrokenManifest(1, "is empty; the first line names the columns, such as scenario,duration")
    delimiter = next((mark for mark in (",", ";", "\t") if mark in first), ",")
    reader = csv.reader(_again(first, lines), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BrokenManifest(line, f"{_explain_csv(error)}") from None
        if cells is None:
            return
        if names is None:
            names = _read_header(cells)
        elif any(cell.strip() for cell in cells):
            yield _read_cells(line, names, cells)


def _explain_csv(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text or "unexpected end of data" in text:
        return "a quote is opened here and never closed"
    if "new-line character" in text:
        return "has line breaks of old Macs (CR); save it with LF or CRLF"
    return f"is not CSV ({text})"


def _read_header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in names:
        if name and names.count(name) > 1:
            raise BrokenManifest(1, f"the column {name[:60]!r} is there twice")
    return names


def _read_cells(line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) < len(names):
        return Row(line, {}, f"has {len(cells)} cells, and the first line names {len(names)} columns")
    if any(cell.strip() for cell in cells[len(names) :]) or any(
        cell.strip() for name, cell in zip(names, cells, strict=False) if not name
    ):
        return Row(line, {}, f"has a value in a column that the first line does not name; it names {len(names)}")
    return Row(line, {name: cell for name, cell in zip(names, cells, strict=False) if name and cell.strip()})


def read_ndjson(file: BinaryIO) -> Iterator[Row]:
    """An object on each line; empty lines are left out."""
    for number, line in enumerate(_Lines(file), 1):
        text = line.strip()
        if text:
            try:
                yield _as_row(number, _DECODER.decode(text))
            except (ValueError, RecursionError) as error:
                yield Row(number, {}, _explain_json(error))


def read_json(file: BinaryIO) -> Iterator[Row]:
    """The objects of one array; BrokenManifest when it is none."""
    text = _Text(file)
    if text.skip_space() != "[":
        raise BrokenManifest(text.line, "must be an array of objects; one object on each line is .ndjson")
    text.advance(1)
    if text.skip_space() == "]":
        return
    while True:
        text.skip_space()
        line = text.line
        yield _as_row(line, text.take_value())
        mark = text.skip_space()
        if mark not in (",", "]"):
            raise BrokenManifest(text.line, "a comma or the end of the array is missing here")
        text.advance(1)
        if mark == "]":
            if text.skip_space():
                raise BrokenManifest(text.line, "goes on behind the end of the array")
            return


def _as_row(line: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(line, cast("dict[str, object]", value))
    return Row(line, {}, "is not an object, such as {'scenario': '720p30-h264'}")


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for n, (name, _) in enumerate(pairs) if name in dict(pairs[:n]))
        raise ValueError(f"{name[:60]!r} is there twice")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_twice, parse_constant=_refuse_constant)


def _explain_json(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON ({error.msg} at character {error.pos + 1})"
    return str(error)


class _Lines:
    """The lines of a file as text, with their ends; BrokenManifest for what is no text, or too long a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._line += 1
        content = self._file.readline(MOST_LINE_BYTES + 1)
        if not content:
            raise StopIteration
        if len(content) > MOST_LINE_BYTES:
            raise BrokenManifest(self._line, f"is longer than {MOST_LINE_BYTES:,} bytes; is this a manifest?")
        if self._line == 1:
            if content.startswith(_BOMS):
                raise BrokenManifest(1, "is UTF-16; save it as UTF-8")
            content = content.removeprefix(codecs.BOM_UTF8)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise BrokenManifest(self._line, f"is not UTF-8 (byte {error.start + 1} of the line)") from None


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


class _Text:
    """A file as text, of which only the value at hand is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def advance(self, length: int) -> None:
        """Go on behind so many characters."""
        self.line += self._text.count("\n", self._at, self._at + length)
        self._at += length

    def skip_space(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            rest = len(self._text) - self._at
            blank = rest - len(self._text[self._at :].lstrip(" \t\r\n")) if rest else 0
            self.advance(blank)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_CHUNK):
                return ""

    def take_value(self) -> object:
        """The JSON value that begins here."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                held = len(self._text) - self._at
                if held > MOST_LINE_BYTES or not self._more(max(held, _CHUNK)):
                    raise BrokenManifest(self.line, _explain_json(error)) from None
                continue
            self.advance(end - self._at)
            return value

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        content = self._file.read(size)
        self._ended = not content
        try:
            added = self._decode.decode(content, self._ended)
        except UnicodeDecodeError:
            raise BrokenManifest(self.line, "is not UTF-8") from None
        self._text = self._text[self._at :] + added
        self._at = 0
        return bool(content)
