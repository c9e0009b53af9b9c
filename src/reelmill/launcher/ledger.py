"""The ledger of a launch: an SQLite file beside its results that says what was asked for and what became of it.

The plan is in it before the first job is sent, so whatever happens to the launcher, the same jobs with the same keys
can be sent again; an entry is only a note that this need not be done. Entries are kept in the order of jobs, so the
results are read from it in constant memory.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from reelmill import __version__
from reelmill.errors import InvalidField, NotFound, ReelmillError
from reelmill.launcher.plan import LaunchPlan
from reelmill.launcher.whole_file import sync_folder

FORMAT = 1
SUFFIX = ".ledger"
SETTLED = frozenset({"accepted", "rejected"})

_SCHEMA = """
CREATE TABLE launch (header TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE entries (
    job_index INTEGER PRIMARY KEY,
    outcome TEXT NOT NULL,
    id TEXT,
    sequence_number INTEGER,
    status TEXT,
    error TEXT,
    error_code TEXT,
    field TEXT
);
"""
_PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class LedgerHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and of which farm. ``command`` is as typed; ``created_at`` in seconds since the epoch."""

    launch_id: str
    name: str | None
    plan: LaunchPlan
    master: str
    farm_id: str | None = None
    command: list[str]
    created_at: float = msgspec.field(default_factory=time.time)
    version: str = __version__
    format: int = FORMAT


class LedgerEntry(NamedTuple):
    """What became of the job at ``job_index``; ``outcome`` is `accepted`, `rejected` or `unknown` (unheard)."""

    job_index: int
    outcome: str
    id: str | None = None
    sequence_number: int | None = None
    status: str | None = None
    error: str | None = None
    error_code: str | None = None
    field: str | None = None


class Ledger:
    """One launch's ledger; only one launcher at a time has it open. Its calls block for the disk: use a thread.

    Without a ``path`` it is a temporary file that nobody finds again.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None, header: LedgerHeader) -> None:
        self._connection = connection
        self.path = path
        self.header = header

    @classmethod
    def create(cls, path: Path | None, header: LedgerHeader) -> Self:
        """A new one, durable on return; there must be none at ``path`` yet: see `move_unfinished`."""
        if path is None:
            return cls(_fill(None, header), None, header)
        # Made under another name: whatever ends this early leaves no half of one, and the first of two launchers wins.
        part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # it may hold the secrets of a URL
            _fill(part, header).close()
            path.hardlink_to(part)
            sync_folder(path.parent)
        except FileExistsError as error:
            raise _busy(path) from error
        except (sqlite3.Error, OSError) as error:
            raise _failed(path, error) from error
        finally:
            for left in (part, *_side_files(part)):
                left.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The one at ``path``; NotFound when there is none, InvalidField when it is no ledger of this version."""
        if not path.exists():
            advice = "give the --output of the launch that was not finished"
            raise NotFound(f"there is no ledger {str(path)!r} to go on with; {advice}")
        connection: sqlite3.Connection | None = None
        try:
            connection = _connect(path)
            [(header,)] = connection.execute("SELECT header FROM launch").fetchall()
            found = msgspec.json.decode(header, type=LedgerHeader)
            if found.format != FORMAT:
                raise ValueError(found.format)
        except (sqlite3.DatabaseError, msgspec.DecodeError, ValueError) as error:
            if connection is not None:
                connection.close()
            # Of the errors in operation, this one is of the statement: there is no such table.
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise _failed(path, error) from error
            raise InvalidField("--resume", f"{str(path)!r} is not a ledger that this reelmill can read") from error
        return cls(connection, path, found)

    def close(self) -> None:
        """Let go of the file; what was recorded stays."""
        self._connection.close()

    def remove(self) -> None:
        """Leave nothing of it behind, and no jobs that only it needs. Ends it."""
        self.close()
        if self.path is not None and self.header.plan.manifest is not None:
            Path(self.header.plan.manifest.spool.path).unlink(missing_ok=True)
        if self.path is not None:
            for part in (self.path, *_side_files(self.path)):
                part.unlink(missing_ok=True)

    def record(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep these, durably on return; what was known of the same jobs is replaced."""
        self._write(_PUT, entries)

    def forget_refused(self) -> int:
        """Let every job that the master does not have be asked for again; how many were refused or never answered."""
        return self._write("DELETE FROM entries WHERE outcome != 'accepted'", [()])

    def finish(self) -> None:
        """Every job has its answer, and the results are written."""
        self._write("UPDATE launch SET done = 1", [()])

    @property
    def is_done(self) -> bool:
        """Whether `finish` was called."""
        [(done,)] = self._connection.execute("SELECT done FROM launch").fetchall()
        return bool(done)

    def settled(self) -> bytearray:
        """For each job of the plan 1 when its answer is known, else 0."""
        known = bytearray(self.header.plan.count)
        rows = self._connection.execute("SELECT job_index FROM entries WHERE outcome IN ('accepted', 'rejected')")
        for (index,) in rows:
            known[index] = 1
        return known

    def totals(self) -> Counter[str]:
        """How many jobs there are of each outcome."""
        rows = self._connection.execute("SELECT outcome, count(*) FROM entries GROUP BY outcome")
        return Counter(dict(rows.fetchall()))

    def entries(self) -> Iterator[LedgerEntry]:
        """All of them, in the order of jobs."""
        rows = self._connection.execute("SELECT * FROM entries ORDER BY job_index")
        return (LedgerEntry(*row) for row in rows)

    def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> int:
        try:
            with self._connection:
                return self._connection.executemany(statement, rows).rowcount
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error


def ledger_path(output: Path) -> Path:
    """Where the ledger of the results at ``output`` is."""
    return output.with_name(output.name + SUFFIX)


def spool_path(output: Path, launch_id: str) -> Path:
    """Where jobs that were listed one by one are kept as long as their ledger is."""
    return output.with_name(f"{output.name}.{launch_id}.jobs")


def move_unfinished(output: Path) -> Path | None:
    """Give the ledger of an unfinished launch another name, so that a new one does not take its place.

    The output whose ledger it is then, to go on with; None when there was no such launch. What a finished one kept is
    removed.
    """
    path = ledger_path(output)
    try:
        if path.stat().st_size == 0 and not any(side.exists() for side in _side_files(path)):
            path.unlink()
        old = Ledger.open(path)
    except (NotFound, FileNotFoundError):
        return None
    except InvalidField as error:
        raise InvalidField(
            "--output", f"beside it is {str(path)!r}, which is no ledger of this reelmill; move it away"
        ) from error
    is_done, kept = old.is_done, output.with_name(f"{output.stem}-{old.header.launch_id}{output.suffix}")
    if is_done:
        old.remove()
        return None
    old.close()
    for before, after in zip(_files(path), _files(ledger_path(kept)), strict=True):
        if before.exists():  # on a full disk what is in its log cannot be brought into the file
            before.replace(after)
    return kept


def _fill(path: Path | None, header: LedgerHeader) -> sqlite3.Connection:
    connection = _connect(path)
    connection.executescript(_SCHEMA)
    with connection:
        connection.execute("INSERT INTO launch (header) VALUES (?)", (msgspec.json.encode(header).decode(),))
    return connection


def _connect(path: Path | None) -> sqlite3.Connection:
    # An empty name is a temporary file of SQLite's own.
    connection = sqlite3.connect(str(path) if path is not None else "", timeout=0, check_same_thread=False)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # also lets a WAL be on a network disk
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _files(path: Path) -> list[Path]:
    return [path, *_side_files(path)]


def _side_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def _busy(name: Path | str) -> ReelmillError:
    return ReelmillError(f"another launcher is at work with {str(name)!r}; wait for it, or give another --output")


def _failed(path: Path | None, error: sqlite3.Error | OSError) -> ReelmillError:
    name = str(path) if path is not None else "the temporary ledger"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return _busy(name)
    return ReelmillError(f"cannot write {name!r}: {error}; every job that was accepted is safe")
