"""``--input`` with a pattern: one job for each file that it matches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from reelmill.errors import InvalidField
from reelmill.launcher.kind import PATTERN_CHARS
from reelmill.launcher.manifest import IsDone, PlacedJob, keep_jobs
from reelmill.launcher.plan import Manifest
from reelmill.launcher.row import RowReader

INPUT = "--input"
_OUTPUTS = "outputs"
"""Where a farm puts outputs that nobody named: what lies there was made of the files beside it."""


def is_pattern(source: str) -> bool:
    """Whether it stands for many files; a file that is really called so is one file."""
    return bool(PATTERN_CHARS & set(source)) and "://" not in source and not os.path.lexists(source)


def read_files(source: str, reader: RowReader, spool: Path, is_done: IsDone | None = None) -> Manifest:
    """One job for each file that the pattern matches, or for the one file, checked and spooled.

    InvalidField when nothing matches, or a job would not be taken.
    """
    found = find_files(source) if is_pattern(source) else [(source, "")]
    return keep_jobs(source, _read_jobs(found, reader), spool, INPUT, is_done)


def _read_jobs(found: list[tuple[str, str]], reader: RowReader) -> Iterator[PlacedJob]:
    for path, folder in found:
        try:
            yield path, reader.read({"input": path}, folder)
        except InvalidField as error:
            yield path, error


def find_files(pattern: str) -> list[tuple[str, str]]:
    """The files that match, sorted, each with its folder below the part of the pattern that is no pattern.

    Hidden files and folders are left out, and a folder ``outputs`` at the top, unless the pattern names them. ``**``
    does not follow links to folders. InvalidField when nothing matches.
    """
    base, rest = _split(pattern)
    names = set(Path(rest).parts)
    found: list[tuple[str, str]] = []
    try:
        for path in base.glob(rest):
            inner = path.relative_to(base)
            if _is_left_out(inner, names) or not path.is_file():
                continue
            found.append((str(path), "" if inner.parent == Path() else inner.parent.as_posix()))
    except (ValueError, NotImplementedError) as error:
        raise InvalidField(INPUT, f"{pattern!r} is not a pattern: {str(error)[:200]}") from None
    if not found:
        where = f"no file in {base.absolute()} matches"
        raise InvalidField(INPUT, f"{where} {rest!r} (upper and lower case differ; hidden files do not count)")
    return sorted(found)


def _split(pattern: str) -> tuple[Path, str]:
    """The folder to search, and what is to match in it."""
    parts = Path(pattern).expanduser().parts
    plain = next(n for n, part in enumerate(parts) if PATTERN_CHARS & set(part))
    return Path(*parts[:plain]), str(Path(*parts[plain:]))


def _is_left_out(inner: Path, names: set[str]) -> bool:
    hidden = any(part.startswith(".") and part not in names for part in inner.parts)
    return hidden or (inner.parts[0] == _OUTPUTS and len(inner.parts) > 1 and _OUTPUTS not in names)
