"""The files of a check under a media root: what a master asks to read, and what each worker leaves beside it.

A worker whose folder is another one finds nothing there, and leaves nothing. It all blocks: run it in a thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from reelmill.domain.media_path import PRIVATE_FOLDER
from reelmill.domain.place import PlaceCheck
from reelmill.errors import PlaceFault

CHECK_BYTES = 1 << 16
_ASKED = "asked"
_STALE_SECONDS = 3600.0


def open_check(media_root: Path, name: str, content: bytes) -> None:
    """Put the file there that is to be read; PlaceFault when the root does not take it."""
    folder = _checks(media_root) / name
    try:
        _remove_stale(media_root)
        folder.mkdir(parents=True)
        (folder / _ASKED).write_bytes(content)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise PlaceFault(f"this master cannot write to its media folder {media_root}: {error.strerror}") from error


def close_check(media_root: Path, name: str) -> None:
    """Remove all of it; what comes later has no place any more."""
    shutil.rmtree(_checks(media_root) / name, ignore_errors=True)


def read_asked(media_root: Path, name: str) -> bytes:
    """What a master has put there; PlaceFault when it is not there, or cannot be read."""
    try:
        return (_checks(media_root) / name / _ASKED).read_bytes()
    except OSError as error:
        raise _fault(media_root, "read", error) from error


def write_reply(media_root: Path, check: PlaceCheck, content: bytes) -> None:
    """Leave a file beside it; PlaceFault when that cannot be."""
    path = _checks(media_root) / check.name / check.reply
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _fault(media_root, "write", error) from error


def read_reply(media_root: Path, name: str, reply: str) -> bytes | None:
    """What a worker has left; None when there is nothing."""
    try:
        return (_checks(media_root) / name / reply).read_bytes()
    except OSError:
        return None


def _checks(media_root: Path) -> Path:
    return media_root / PRIVATE_FOLDER / "checks"


def _remove_stale(media_root: Path) -> None:
    """Those of masters that died in the middle."""
    with contextlib.suppress(FileNotFoundError):
        for folder in _checks(media_root).iterdir():
            if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _fault(media_root: Path, deed: str, error: OSError) -> PlaceFault:
    if isinstance(error, FileNotFoundError):
        return PlaceFault(
            f"{media_root} is another folder than the masters', or is not mounted: what a master has just put there is "
            "missing; give --media the folder that the masters use"
        )
    advice = "let the user that the worker runs as read and write there, and look at its disk or share"
    return PlaceFault(f"cannot {deed} in {media_root}: {error.strerror}; {advice}")
