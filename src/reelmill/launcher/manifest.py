"""Manifests and found files: every job is checked before anything is sent, and kept in a spool."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from reelmill.domain.scenario import find_scenario
from reelmill.errors import InvalidField, ReelmillError
from reelmill.launcher.manifest_rows import BrokenManifest, Row, read_csv, read_json, read_ndjson
from reelmill.launcher.payload import JobPayload
from reelmill.launcher.plan import Demand, Manifest
from reelmill.launcher.progress import format_count
from reelmill.launcher.row import RowReader
from reelmill.launcher.spool import SpoolWriter
from reelmill.launcher.totals import Tally

FROM = "--from"
STDIN = "-"
_READERS: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".ndjson": read_ndjson,
    ".jsonl": read_ndjson,
    ".json": read_json,
}
_SHOWN = 5
_SHOWN_PLACES = 3
_MOST_DEMANDS = 1000
"""So many different needs are told of; beyond, what hinders some of the jobs is found out when they wait."""

IsDone = Callable[[str], bool]
"""Whether an output, by its path under the media root, is there already."""

PlacedJob = tuple[str, JobPayload | InvalidField]
"""Where a job comes from, and the job or what is wrong with it."""


def read_manifest(source: str, reader: RowReader, spool: Path, is_done: IsDone | None = None) -> Manifest:
    """The jobs of ``source`` (``-`` is standard input), checked and spooled, but those that ``is_done`` says are.

    InvalidField with the first few mistakes, each with its lines, when any row is wrong; then nothing is spooled.
    """
    if source == STDIN:
        if sys.stdin.isatty():
            raise InvalidField(FROM, "- reads standard input, and that is a terminal; pipe a manifest into it")
        return _read_file(sys.stdin.buffer, "stdin", None, reader, spool, is_done)
    path = Path(source)
    if path.suffix.lower() not in _READERS:
        raise InvalidField(FROM, f"{source!r} must end in {', '.join(_READERS)}; - is standard input")
    try:
        with path.open("rb") as file:
            return _read_file(file, source, _READERS[path.suffix.lower()], reader, spool, is_done)
    except OSError as error:
        raise InvalidField(FROM, f"{source!r} cannot be read ({error.strerror})") from error


def _read_file(
    file: BinaryIO,
    name: str,
    rows: Callable[[BinaryIO], Iterator[Row]] | None,
    reader: RowReader,
    spool: Path,
    is_done: IsDone | None,
) -> Manifest:
    return keep_jobs(name, _read_rows((rows or _guess(file))(file), name, reader), spool, FROM, is_done)


def _guess(file: BinaryIO) -> Callable[[BinaryIO], Iterator[Row]]:
    """By the first character: an object, an array, or else a table."""
    peek = getattr(file, "peek", None)
    start = bytes(peek(4096)) if peek is not None else b""
    begin = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return read_ndjson if begin == b"{" else read_json if begin == b"[" else read_csv


def _read_rows(rows: Iterator[Row], name: str, reader: RowReader) -> Iterator[PlacedJob]:
    try:
        for row in rows:
            place = f"{name}:{row.line}"
            if row.error is not None:
                yield place, InvalidField("", row.error)
                continue
            try:
                yield place, reader.read(row.fields)
            except InvalidField as error:
                yield place, error
    except BrokenManifest as error:
        yield f"{name}:{error.line}", InvalidField("", str(error))


def keep_jobs(
    source: str, jobs: Iterable[PlacedJob], spool: Path, option: str, is_done: IsDone | None = None
) -> Manifest:
    """Spool these jobs; InvalidField, and no spool, when one of them is wrong or two write the same output."""
    tally, demands, mistakes = Tally(), dict[tuple[object, ...], Demand](), _Mistakes(option, source)
    skipped = 0
    with SpoolWriter(spool) as writer, closing(_Outputs()) as outputs:
        for place, job in jobs:
            if isinstance(job, InvalidField):
                mistakes.add(place, job)
                continue
            earlier = outputs.claim(job.parameters.output, place)
            if earlier is not None:
                mistakes.add(place, InvalidField("output", f"{job.parameters.output!r} is that of {earlier} too"))
            if mistakes.count:
                continue
            if is_done is not None and job.parameters.output is not None and is_done(job.parameters.output):
                skipped += 1
                continue
            writer.add(job)
            tally.add(job)
            key = (job.scenario, job.engine, *sorted(job.node_labels.items()))
            if key not in demands and len(demands) < _MOST_DEMANDS:
                demands[key] = Demand(find_scenario(job.scenario), job.engine, job.node_labels)
        mistakes.check()
        if not tally.count and not skipped:
            raise InvalidField(option, f"{source} has no jobs in it")
        return Manifest(
            source=source,
            spool=writer.commit(),
            totals=tally.totals(),
            demands=tuple(demands.values()),
            skipped=skipped,
        )


class _Mistakes:
    """What is wrong: the first few different mistakes, each with the first few of its places."""

    def __init__(self, option: str, source: str) -> None:
        self._option = option
        self._source = source
        self._first: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self.count = 0

    def add(self, place: str, error: InvalidField) -> None:
        self.count += 1
        said = str(error)
        if said not in self._first and len(self._first) == _SHOWN:
            return
        places = self._first.setdefault(said, [])
        self._counts[said] += 1
        if len(places) < _SHOWN_PLACES:
            places.append(place.removeprefix(f"{self._source}:") if places else place)

    def check(self) -> None:
        """InvalidField when anything was wrong."""
        if not self.count:
            return
        told = [f"{self._name_places(said)}: {said}" for said in self._first]
        others = self.count - self._counts.total()
        raise InvalidField(
            self._option, "; ".join(told) + (f"; and {format_count(others, 'other mistake')}" if others else "")
        )

    def _name_places(self, said: str) -> str:
        more = self._counts[said] - len(self._first[said])
        return ", ".join(self._first[said]) + (f" and {more:,} more" if more else "")


class _Outputs:
    """Which outputs are spoken for, on disk: a manifest may have millions of rows."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a temporary file, which SQLite removes
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE output (digest BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def claim(self, output: str | None, place: str) -> str | None:
        """Who had it before; None when nobody, or when it is not named."""
        if output is None:
            return None
        digest = hashlib.blake2b(output.encode(), digest_size=16).digest()
        try:
            done = self._db.execute("INSERT OR IGNORE INTO output VALUES (?, ?)", (digest, place))
            if done.rowcount:
                return None
            return self._db.execute("SELECT place FROM output WHERE digest = ?", (digest,)).fetchone()[0]
        except sqlite3.Error as error:
            raise ReelmillError(
                f"cannot compare the outputs of the jobs ({error}); is the disk for temporary files full?"
            ) from error

    def close(self) -> None:
        self._db.close()
