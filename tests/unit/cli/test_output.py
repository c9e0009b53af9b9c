"""Tables, records and lists: bounded in width and memory, and harmless to a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from reelmill.cli.output import Format, make_writer, show_record, show_rows
from reelmill.cli.table import TableWriter

EVIL = "a\x1b]0;owned\x07\x9b31m\u202eb"
ROWS = [
    {"number": 1, "status": "completed", "node": "n1", "reason": "", "error_code": None},
    {"number": 20, "status": "failed", "node": "n2", "reason": "the disk is full; free some space and try again"},
]
COLUMNS = ["number", "status", "node", "reason", "error_code"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in the place of stdout, without colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


def table(rows: Sequence[dict[str, Any]], width: int | None, expendable: Sequence[str] = ("node",)) -> None:
    writer = TableWriter(COLUMNS, expendable, width)
    writer.write(rows)
    writer.end()


@pytest.mark.parametrize("width", [40, 50, 80])
def test_a_table_fits_the_terminal_and_keeps_its_key_columns(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """No line is wider than the terminal; number and status are whole; sentences are folded, not cut."""
    terminal = make_terminal(monkeypatch)
    table(ROWS, width, ["error_code", "node"])
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("number  status")
    assert any(line.startswith("20      failed") for line in lines)
    assert "free some space" in " ".join(terminal.getvalue().split())


def test_a_wide_terminal_shows_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = make_terminal(monkeypatch)
    table(ROWS, 200)
    assert terminal.getvalue().splitlines()[0].split() == ["number", "status", "node", "reason", "error", "code"]


def test_without_a_terminal_nothing_is_cut_or_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A program may read the table: also a cell that is longer than those of the first page is whole."""
    writer = make_writer(COLUMNS, Format.TABLE, expendable=COLUMNS)
    writer.write(ROWS[:1])
    writer.write([{**ROWS[1], "node": "n" * 500}])
    writer.end()
    out = capsys.readouterr().out
    assert "n" * 500 in out
    assert len(out.splitlines()) == 3


def test_a_later_cell_that_is_too_long_is_cut_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widths of the first page hold for the whole list."""
    terminal = make_terminal(monkeypatch)
    writer = TableWriter(["number", "node"], (), 40)
    writer.write(ROWS)
    writer.write([{"number": 3, "node": "n" * 500}])
    assert terminal.getvalue().splitlines()[-1] == "3       nnn…"


@pytest.mark.parametrize("how", list(Format))
def test_no_control_character_reaches_a_terminal(monkeypatch: pytest.MonkeyPatch, how: Format) -> None:
    """Whatever a stranger named a job, no format lets it move the cursor, set a title or reverse the text."""
    terminal = make_terminal(monkeypatch)
    show_rows([{"name": EVIL}], ["name"], how)
    show_record({"name": EVIL}, how)
    assert [] == [char for char in terminal.getvalue() if char in "\x1b\x07\x9b\u202e"]
    assert "owned" in terminal.getvalue()


def test_what_programs_read_is_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON, NDJSON and CSV give back the very value, and the JSON of many pages is one array."""
    writer = make_writer(["name"], Format.JSON)
    for _ in range(3):
        writer.write([{"name": EVIL}, {"name": {"deep": [1]}}])
    writer.end()
    assert [{"name": EVIL}, {"name": {"deep": [1]}}] * 3 == json.loads(capsys.readouterr().out)
    show_rows([], ["name"], Format.JSON)
    assert capsys.readouterr().out == "[]\n"
    show_rows([{"name": EVIL}], ["name"], Format.CSV)
    assert [["name"], [EVIL]] == list(csv.reader(io.StringIO(capsys.readouterr().out)))
