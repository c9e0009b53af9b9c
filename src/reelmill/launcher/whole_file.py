"""A file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from reelmill.errors import InvalidField, ReelmillError

STDOUT = Path("-")


class WholeFile:
    """A file to be: making it proves that it can be written, so do that before the work. ``-`` is standard output.

    A context manager: what was not put in place by ``write`` leaves nothing behind, and the file as it was before.
    """

    def __init__(self, path: Path, option: str = "--output") -> None:
        self.path = path
        self._part: Path | None = None
        if path == STDOUT:
            return
        try:
            self._prepare(Path(os.path.realpath(path)), option)
        except OSError as error:
            raise InvalidField(option, f"cannot write {str(path)!r}: {error.strerror}") from error

    def _prepare(self, target: Path, option: str) -> None:
        self._target = target
        if target.is_dir():
            raise InvalidField(option, f"{str(self.path)!r} is a folder; give a file")
        if not target.parent.is_dir():
            raise InvalidField(option, f"there is no folder {str(target.parent)!r}; make it first")
        if target.exists() and not os.access(target, os.W_OK):
            raise InvalidField(option, f"may not write {str(self.path)!r}; mend its permissions")
        if target.exists() and not target.is_file():
            return  # a device or a pipe: replacing it would destroy it
        self._part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
        os.close(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        if target.exists():
            self._part.chmod(target.stat().st_mode & 0o777)

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    @property
    def is_kept(self) -> bool:
        """Whether it is a file that stays: neither standard output nor a device or a pipe."""
        return self._part is not None

    def write(self, content: bytes) -> None:
        """Put the content in place, at once and durably; ReelmillError when that fails."""
        with self.open() as file:
            file.write(content)

    @contextlib.contextmanager
    def open(self) -> Generator[BinaryIO, None, None]:
        """What is written here is in place behind the block, at once and durably; ReelmillError when that fails."""
        try:
            with self._open() as file:
                yield file
                file.flush()
                if self._part is not None:
                    os.fsync(file.fileno())
            if self._part is not None:
                self._part.replace(self._target)
                sync_folder(self._target.parent)
        except OSError as error:
            raise ReelmillError(f"cannot write {str(self.path)!r}: {error.strerror}") from error

    def _open(self) -> BinaryIO:
        if self.path == STDOUT:
            sys.stdout.flush()
            return os.fdopen(os.dup(1), "wb")
        return (self._part or self._target).open("wb", buffering=1 << 18)


def sync_folder(folder: Path) -> None:
    """Make durable what was renamed there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
