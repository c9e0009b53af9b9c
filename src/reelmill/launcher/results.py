"""The results file: a plain JSON array in submission order, complete or not there at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

import msgspec

from reelmill.domain.request import RequestedParameters
from reelmill.errors import InvalidField, ReelmillError

STDOUT = Path("-")


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


class ResultsFile:
    """Takes entries one by one, in constant memory; ``commit`` puts the whole file in place at once.

    Opening it proves that it can be written, so open it before anything is submitted. The path ``-`` is stdout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._encode = msgspec.json.Encoder().encode
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        try:
            if path == STDOUT:
                self._file = os.fdopen(os.dup(1), "wb")
            else:
                self._open(Path(os.path.realpath(path)))
        except OSError as error:
            raise InvalidField("--output", f"cannot write {str(path)!r}: {error.strerror}") from error

    def _open(self, target: Path) -> None:
        self._target = target
        if target.is_dir():
            raise InvalidField("--output", f"{str(self.path)!r} is a folder; give a file")
        if not target.parent.is_dir():
            raise InvalidField("--output", f"there is no folder {str(target.parent)!r}; make it first")
        if target.exists() and not os.access(target, os.W_OK):
            raise InvalidField("--output", f"may not write {str(self.path)!r}; mend its permissions")
        if target.exists() and not target.is_file():
            self._file = target.open("wb")  # a device or a pipe: replacing it would destroy it
            return
        self._part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, 0o666), "wb", buffering=1 << 18)

    def add(self, entry: JobEntry) -> None:
        """Append one entry."""
        assert self._file is not None
        try:
            self._file.write((b",\n" if self.count else b"[\n") + self._encode(entry))
        except OSError as error:
            raise self._failed(error) from error
        self.count += 1

    def commit(self) -> None:
        """Make what was added the file's content, durably. May be called once."""
        assert self._file is not None
        try:
            with self._file as file:
                file.write(b"\n]\n" if self.count else b"[]\n")
                file.flush()
                if self._part is not None:
                    os.fsync(file.fileno())
            self._file = None
            if self._part is not None:
                self._part.replace(self._target)
                _sync_folder(self._target.parent)
        except OSError as error:
            raise self._failed(error) from error
        self._part = None

    def discard(self) -> None:
        """Drop what was not committed; the file is as it was before."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None

    def _failed(self, error: OSError) -> ReelmillError:
        return ReelmillError(f"cannot write {str(self.path)!r}: {error.strerror}; the jobs submitted so far are safe")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
