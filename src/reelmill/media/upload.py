"""An output that arrives piece by piece in its attempt's folder, until it is whole. Blocks: run it in a thread.

Each piece is written at its own place, so a piece that arrives twice, or late on a connection that was given up,
changes nothing: an attempt has only one output.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import Conflict
from reelmill.media.durable import hash_and_sync, sync_folder
from reelmill.media.folder_output import unpack
from reelmill.media.publish import Muxer, attempt_folder, attempt_output, explain_error, find_attempt_output

_PART = "upload.part"


class WholeOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of an output that it has sent. ``sha256`` in hex, ``size`` in bytes."""

    container: Muxer
    size: int
    sha256: str


def open_attempt(media_root: Path, key: AttemptKey) -> None:
    """Make the attempt's folder; one that is there, from the same word said twice, keeps what is in it."""
    try:
        attempt_folder(media_root, key).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_error(error, "its attempt folder") from error


def received(media_root: Path, key: AttemptKey) -> int:
    """How many bytes of the output are there."""
    for path in (_whole(media_root, key), attempt_folder(media_root, key) / _PART):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            continue
    return 0


def _whole(media_root: Path, key: AttemptKey) -> Path:
    """The output as it was sent: of a folder, what it was packed into."""
    packed = attempt_output(attempt_folder(media_root, key), "tar")
    return packed if packed.exists() else find_attempt_output(media_root, key)


def write_piece(media_root: Path, key: AttemptKey, offset: int, piece: bytes) -> None:
    """Write what belongs at ``offset``; Conflict when something before it is missing, AttemptFailed as publishing."""
    path = attempt_folder(media_root, key) / _PART
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT if offset == 0 else 0), 0o644)
        try:
            if os.fstat(descriptor).st_size < offset:
                raise Conflict(f"there is less than {offset} bytes of this output; ask for its offset", code="offset")
            while piece:
                written = os.pwrite(descriptor, piece, offset)
                piece, offset = piece[written:], offset + written
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        if path.parent.exists():
            raise Conflict("nothing of this output is here; send it from its beginning", code="offset") from error
        raise Conflict("this attempt has no folder: it was not begun, or is over", code="attempt_over") from error
    except OSError as error:
        raise explain_error(error, "the output") from error


def complete(media_root: Path, key: AttemptKey, said: WholeOutput) -> None:
    """Check that the output is the one that was sent, and make it durable; may be repeated.

    Conflict ``incomplete`` when bytes are missing, ``corrupted`` when they are others; those are thrown away.
    """
    folder = attempt_folder(media_root, key)
    try:
        if not _is_whole(media_root, key, said):  # else it may be settled by now, and is not changed any more
            _take(media_root, key, said)
        if said.container == "tar" and not find_attempt_output(media_root, key).is_dir():
            _unpack(attempt_output(folder, said.container))
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise explain_error(error, "the output") from error


def _is_whole(media_root: Path, key: AttemptKey, said: WholeOutput) -> bool:
    try:
        _check(_whole(media_root, key), said)
    except FileNotFoundError:
        return False
    return True


def _take(media_root: Path, key: AttemptKey, said: WholeOutput) -> None:
    folder = attempt_folder(media_root, key)
    part = folder / _PART
    try:
        size = part.stat().st_size
        if size < said.size:
            raise Conflict(f"{size} of {said.size} bytes are here; send the others", code="incomplete")
        _check(part, said)
        part.rename(attempt_output(folder, said.container))
    except FileNotFoundError as error:
        if not _is_whole(media_root, key, said):  # else another master, asked the same, was faster
            raise Conflict("nothing of this output is here; send it", code="incomplete") from error


def _unpack(packed: Path) -> None:
    try:
        unpack(packed)
    except Conflict:
        packed.unlink(missing_ok=True)
        raise


def _check(path: Path, said: WholeOutput) -> None:
    if hash_and_sync(path) != (said.sha256, said.size):
        if path.name == _PART:
            path.unlink(missing_ok=True)
        raise Conflict("what is here is not what was sent; send it again", code="corrupted")
