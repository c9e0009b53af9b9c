"""The ledger knows what was asked for and what became of it, whatever happened to the launcher."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from reelmill.errors import InvalidField, NotFound, ReelmillError
from reelmill.launcher.ledger import Ledger, LedgerEntry, LedgerHeader, ledger_path, move_unfinished
from reelmill.launcher.options import read_plan


def header(count: int = 5, launch_id: str = "the-id") -> LedgerHeader:
    plan = read_plan(count=str(count), seed=3)
    return LedgerHeader(launch_id=launch_id, name="nightly", plan=plan, master="http://m:1", command=["reelmill", "x"])


def accepted(index: int) -> LedgerEntry:
    return LedgerEntry(index, "accepted", f"id-{index}", index + 100, "queued")


def test_what_was_asked_for_is_there_again(tmp_path: Path) -> None:
    """The whole plan, so that the same jobs can be sent again."""
    wanted = header()
    Ledger.create(tmp_path / "l", wanted).close()
    ledger = Ledger.open(tmp_path / "l")
    assert wanted == ledger.header
    ledger.close()


def test_entries_are_kept_in_the_order_of_jobs(tmp_path: Path) -> None:
    """However they came; a later word about a job replaces an earlier one; closed, it is one file."""
    ledger = Ledger.create(tmp_path / "l", header())
    unknown, refused = LedgerEntry(1, "unknown", error="unheard"), LedgerEntry(3, "rejected", error="no", field="f")
    ledger.record([refused, unknown])
    ledger.record([accepted(0)])
    assert [accepted(0), unknown, refused] == list(ledger.entries())
    assert bytearray([1, 0, 0, 1, 0]) == ledger.settled()
    assert {"accepted": 1, "unknown": 1, "rejected": 1} == ledger.totals()
    ledger.record([accepted(1)])
    assert [accepted(0), accepted(1), refused] == list(ledger.entries())
    assert 1 == ledger.forget_refused()
    assert bytearray([1, 1, 0, 0, 0]) == ledger.settled()
    ledger.close()
    assert [tmp_path / "l"] == list(tmp_path.iterdir())


def test_two_launchers_do_not_share_one(tmp_path: Path) -> None:
    """The second is told that the first is at work."""
    ledger = Ledger.create(tmp_path / "l", header())
    with pytest.raises(ReelmillError, match="another launcher is at work"):
        Ledger.open(tmp_path / "l")
    ledger.close()
    Ledger.open(tmp_path / "l").close()


def test_an_unfinished_launch_is_not_written_over(tmp_path: Path) -> None:
    """It gets a name of its own; a finished one is replaced."""
    output = tmp_path / "r.json"
    assert move_unfinished(output) is None
    Ledger.create(ledger_path(output), header()).close()
    kept = tmp_path / "r-the-id.json"
    assert kept == move_unfinished(output)
    assert [ledger_path(kept)] == list(tmp_path.iterdir())
    ledger = Ledger.create(ledger_path(output), header(launch_id="other"))
    ledger.finish()
    ledger.close()
    assert move_unfinished(output) is None
    assert [ledger_path(kept)] == list(tmp_path.iterdir())


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    """Nothing there, something else, or one of another time."""
    with pytest.raises(NotFound, match="there is no ledger"):
        Ledger.open(tmp_path / "none")
    (tmp_path / "text").write_text("no database, but long enough to be looked at as one\n" * 100)
    with pytest.raises(InvalidField, match="is not a ledger that this reelmill can read"):
        Ledger.open(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE launch (header TEXT)")
    other.execute("""INSERT INTO launch VALUES ('{"format": 99}')""")
    other.commit()
    other.close()
    with pytest.raises(InvalidField, match="is not a ledger that this reelmill can read"):
        Ledger.open(tmp_path / "other")


def test_what_is_no_ledger_is_neither_used_nor_removed(tmp_path: Path) -> None:
    """A new launch says so; only an empty file, which holds nothing, makes way."""
    output = tmp_path / "r.json"
    other = sqlite3.connect(ledger_path(output))
    other.execute("CREATE TABLE films (name TEXT)")
    other.close()
    with pytest.raises(InvalidField, match="which is no ledger of this reelmill; move it away"):
        move_unfinished(output)
    assert ledger_path(output).exists()
    ledger_path(output).write_bytes(b"")
    assert move_unfinished(output) is None
    assert not list(tmp_path.iterdir())


def test_a_ledger_of_another_format_is_not_read(tmp_path: Path) -> None:
    """Its plan may mean something else."""
    connection = sqlite3.connect(tmp_path / "l")
    connection.execute("CREATE TABLE launch (header TEXT)")
    later = msgspec.structs.replace(header(), format=99)
    connection.execute("INSERT INTO launch VALUES (?)", (msgspec.json.encode(later).decode(),))
    connection.commit()
    connection.close()
    with pytest.raises(InvalidField, match="is not a ledger that this reelmill can read"):
        Ledger.open(tmp_path / "l")


def test_what_is_not_yet_in_the_file_moves_with_it(tmp_path: Path) -> None:
    """A launcher that was killed leaves its last entries in a log of SQLite beside the ledger."""
    output = tmp_path / "r.json"
    ledger = Ledger.create(ledger_path(output), header())
    ledger.record([accepted(0)])
    beside = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ledger.close()
    for name, content in beside.items():  # as a kill would have left it
        (tmp_path / name).write_bytes(content)
    kept = move_unfinished(output)
    assert kept is not None
    again = Ledger.open(ledger_path(kept))
    assert [accepted(0)] == list(again.entries())
    again.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The command may hold the secrets of a URL."""
    Ledger.create(tmp_path / "l", header()).close()
    assert 0o600 == (tmp_path / "l").stat().st_mode & 0o777


def test_a_place_that_cannot_hold_one_is_told(tmp_path: Path) -> None:
    """In one sentence that names it."""
    with pytest.raises(ReelmillError, match="cannot write "):
        Ledger.create(tmp_path / "no" / "l", header())


def test_nothing_sent_leaves_nothing(tmp_path: Path) -> None:
    """A launch that could not begin."""
    Ledger.create(tmp_path / "l", header()).remove()
    assert not list(tmp_path.iterdir())
