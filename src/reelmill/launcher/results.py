"""The results of a launch in the order of its jobs: JSON, NDJSON, CSV or Parquet by the name, whole or not there."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from reelmill.domain.request import RequestedParameters
from reelmill.errors import InvalidField
from reelmill.launcher.batch import key_jobs
from reelmill.launcher.ledger import Ledger
from reelmill.launcher.plan import plan_jobs
from reelmill.launcher.whole_file import WholeFile

_ROWS_AT_ONCE = 5_000
_SUFFIXES = {"": "json", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".parquet": "parquet"}


class JobEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one job when it was submitted.

    ``status`` is the master's word for an accepted job, `rejected` with the reason in ``error``, or `unknown` when no
    answer was heard: such a job may have been accepted.
    """

    index: int
    id: str | None = None
    sequence_number: int | None = None
    status: str
    launch_id: str
    scenario: str
    engine: str
    queue: str
    priority: str
    parameters: RequestedParameters
    idempotency_key: str
    error: str | None = None
    error_code: str | None = None
    field: str | None = None


_FLAT = [name for name in JobEntry.__struct_fields__ if name != "parameters"]
_PARAMETERS = list(RequestedParameters.__struct_fields__)
COLUMNS = [*_FLAT, *_PARAMETERS]
"""Of CSV and Parquet, where the parameters are columns of their own."""


def check_output(path: Path) -> bool:
    """Whether results written there stay, so that a ledger can be beside them.

    InvalidField when they cannot be written there, so that it is known before anything is sent.
    """
    if _format(path) == "parquet":
        _import_parquet()
    with WholeFile(path) as file:
        if file.is_kept:
            _refuse_other_file(path)
        return file.is_kept


def _refuse_other_file(path: Path) -> None:
    """Results may replace results, not a film or a manifest whose name was typed in the wrong place."""
    begins = {"json": b"[", "ndjson": b'{"index"', "csv": b"index,", "parquet": b"PAR1"}[_format(path)]
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(begins))
        if start not in (b"", begins):
            sentence = f"{str(path)!r} is there and holds no results; give another file, or remove it"
            raise InvalidField("--output", sentence)


def write_results(path: Path, entries: Iterable[JobEntry]) -> int:
    """Put the entries in place at ``path`` at once and durably (`-` is stdout); how many. ReelmillError on failure."""
    with WholeFile(path) as whole, whole.open() as file:
        return _WRITERS[_format(path)](file, iter(entries))


def job_entries(ledger: Ledger) -> Iterator[JobEntry]:
    """What the ledger knows, each entry with the job that it is about: one for each job that was sent, in order."""
    header = ledger.header
    jobs = key_jobs(plan_jobs(header.plan), header.launch_id)
    for known in ledger.entries():
        job = next(job for job in jobs if job.index == known.job_index)
        yield JobEntry(
            index=known.job_index,
            id=known.id,
            sequence_number=known.sequence_number,
            status=known.status or known.outcome,
            launch_id=header.launch_id,
            scenario=job.payload.scenario,
            engine=job.payload.engine,
            queue=job.payload.queue,
            priority=job.payload.priority,
            parameters=job.payload.parameters,
            idempotency_key=job.key,
            error=known.error,
            error_code=known.error_code,
            field=known.field,
        )


def _format(path: Path) -> str:
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        known = ", ".join(suffix for suffix in _SUFFIXES if suffix)
        raise InvalidField("--output", f"{str(path)!r} ends in none of {known}; without a suffix it is JSON")
    return found


def _write_json(file: BinaryIO, entries: Iterator[JobEntry]) -> int:
    encode, count = msgspec.json.Encoder().encode, 0
    for entry in entries:
        file.write((b",\n" if count else b"[\n") + encode(entry))
        count += 1
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_ndjson(file: BinaryIO, entries: Iterator[JobEntry]) -> int:
    encode, count = msgspec.json.Encoder().encode, 0
    for entry in entries:
        file.write(encode(entry) + b"\n")
        count += 1
    return count


def _write_csv(file: BinaryIO, entries: Iterator[JobEntry]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer, count = csv.writer(text), 0
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow(_row(entry).values())
        count += 1
    text.detach()  # flushed; the file is not ours to close
    return count


def _write_parquet(file: BinaryIO, entries: Iterator[JobEntry]) -> int:
    pyarrow, parquet = _import_parquet()
    kinds = dict.fromkeys(COLUMNS, pyarrow.string()) | {
        "index": pyarrow.int64(),
        "sequence_number": pyarrow.int64(),
        "duration": pyarrow.float64(),
        "bitrate": pyarrow.int64(),
        "overwrite": pyarrow.bool_(),
        "timeout": pyarrow.float64(),
        "quality_sample": pyarrow.int64(),
        "quality_min": pyarrow.float64(),
    }
    schema, count = pyarrow.schema(list(kinds.items())), 0
    with parquet.ParquetWriter(file, schema) as writer:
        while some := [_row(entry) for entry in islice(entries, _ROWS_AT_ONCE)]:
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))
            count += len(some)
    return count


_WRITERS: dict[str, Callable[[BinaryIO, Iterator[JobEntry]], int]] = {
    "json": _write_json,
    "ndjson": _write_ndjson,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


def _row(entry: JobEntry) -> dict[str, object]:
    flat = {name: getattr(entry, name) for name in _FLAT}
    return flat | {name: getattr(entry.parameters, name) for name in _PARAMETERS}


def _import_parquet() -> tuple[Any, Any]:
    """The two modules, which have no types."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        advice = "type: pip install 'reelmill[parquet]', or write .json, .ndjson or .csv"
        raise InvalidField("--output", f"Parquet needs a package that is not installed; {advice}") from None
