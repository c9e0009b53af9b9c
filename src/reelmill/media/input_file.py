"""An input under the media root, opened for those who have no such folder. Blocks: run it in a thread."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from reelmill.domain.failure import Failure
from reelmill.domain.media_path import resolve
from reelmill.errors import InvalidField
from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed


class InputFile(NamedTuple):
    """An open input. ``etag`` is another one whenever the file is replaced or written to."""

    descriptor: int
    size: int
    etag: str

    def close(self) -> None:
        """Nothing can be read any more."""
        os.close(self.descriptor)


def open_input(media_root: Path, relative: str) -> InputFile:
    """The input, open for reading; AttemptFailed as an engine would fail that cannot read it."""
    try:
        path = resolve("parameters.input", media_root, relative)
    except InvalidField as error:
        raise outside_root(error) from error
    try:
        # Never waits for the other end of a pipe that somebody has put there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise AttemptFailed(_explain(error)) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise AttemptFailed(input_failure.IS_FOLDER)
    return InputFile(descriptor, found.st_size, f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"')


@contextmanager
def opened(media_root: Path, relative: str) -> Generator[InputFile, None, None]:
    """The same for the length of a block."""
    file = open_input(media_root, relative)
    try:
        yield file
    finally:
        file.close()


def hash_input(media_root: Path, relative: str) -> tuple[str, bytes]:
    """The etag and the SHA-256 of the input; the etag is another one when it was written to meanwhile."""
    with opened(media_root, relative) as file:
        with os.fdopen(file.descriptor, "rb", closefd=False) as content:
            digest = hashlib.file_digest(content, "sha256").digest()
        with opened(media_root, relative) as again:
            return again.etag, digest


def outside_root(error: InvalidField) -> AttemptFailed:
    """What an input is that a link leads out of the root."""
    return AttemptFailed(Failure("user_error", "input_outside_root", f"The input cannot be read: {error}."))


def _explain(error: OSError) -> Failure:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return input_failure.MISSING
        case errno.EACCES | errno.EPERM:
            return input_failure.PERMISSION
        case errno.EISDIR | errno.ENXIO:
            return input_failure.IS_FOLDER
        case _:
            message = f"Reading the input failed: {error.strerror}; check the media folder's disk or share."
            return Failure("platform_error", "io_error", message)
