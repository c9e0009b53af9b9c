"""The spool: checked jobs on disk, so that a launch can be gone on with whatever happens to what they came from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reelmill.errors import ReelmillError
from reelmill.launcher.payload import JobPayload


class Spool(msgspec.Struct, frozen=True):
    """A finished spool: one job as JSON on each line, and the digest by which a changed file is told."""

    path: str
    jobs: int
    digest: str


class SpoolWriter:
    """Writes a spool; nothing is at its path until ``commit``. A context manager that leaves nothing half-made."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        self._hash = hashlib.blake2b(digest_size=16)
        self._encode = msgspec.json.Encoder().encode
        self._jobs = 0
        try:
            self._file = self._part.open("wb", buffering=1 << 16)
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._file.close()
        finally:
            self._part.unlink(missing_ok=True)

    def add(self, job: JobPayload) -> None:
        """Write one more job."""
        line = self._encode(job) + b"\n"
        self._hash.update(line)
        self._jobs += 1
        try:
            self._file.write(line)
        except OSError as error:
            raise self._failure(error) from error

    def commit(self) -> Spool:
        """The spool, durable and in its place."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failure(error) from error
        return Spool(str(self._path), self._jobs, self._hash.hexdigest())

    def _failure(self, error: OSError) -> ReelmillError:
        return ReelmillError(f"cannot keep the jobs in {self._path} ({error.strerror}); name an --output elsewhere")


def read_spool(spool: Spool) -> Iterator[bytes]:
    """The lines of a spool; ReelmillError before the first when it is gone or is not what was written."""
    try:
        with Path(spool.path).open("rb") as file:
            if hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest() != spool.digest:
                raise ReelmillError(f"{spool.path} was changed since its launch began; start a new launch")
            file.seek(0)
            yield from file
    except OSError as error:
        advice = "it holds the jobs of its launch; start a new launch"
        raise ReelmillError(f"cannot read {spool.path} ({error.strerror}): {advice}") from error
