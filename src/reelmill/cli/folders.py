"""The folders of a farm: its data folder is made when need be, its media folder must be there."""

from __future__ import annotations

import contextlib
import difflib
import errno
import shlex
from pathlib import Path
from typing import NamedTuple

from reelmill.errors import SettingsError, StartupError
from reelmill.settings import Settings

_PROBE = ".reelmill-write-test"
_DATA_ROOM = bytes(1 << 16)


class Fault(NamedTuple):
    """What is wrong with a folder, and what to do."""

    found: str
    advice: str
    absent: bool = False


def prepare_folders(settings: Settings, *, media: bool = True) -> None:
    """Make the data folder, and see that it and the ``media`` folder can be written; StartupError with what to do.

    A media folder that is not there is a SettingsError: it is more likely mistyped than wanted empty.
    """
    for name, folder in (("media", settings.media_folder), ("data", settings.data)):
        if name == "media" and (not media or settings.media_store):
            continue
        fault = find_fault(name, folder)
        if fault is not None:
            kind = SettingsError if fault.absent else StartupError
            raise kind(f"{fault.found}; {fault.advice}")


def try_folder(name: str, folder: Path) -> Fault | None:
    """What ``prepare_folders`` would complain of; what had to be made to know it is removed again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        return find_fault(name, folder)
    finally:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()


def find_fault(name: str, folder: Path) -> Fault | None:
    """Write a file there and remove it; the data folder is made first."""
    if name == "media" and not folder.exists():
        return _absent(folder)
    probe = folder / _PROBE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # Without room for outputs a farm waits, and says so; without room for its database it is none.
            probe.write_bytes(_DATA_ROOM if name == "data" else b"")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "free some space there" if full else "mend its permissions"
        found = f"cannot write to the {name} folder {folder}: {error.strerror}"
        return Fault(found, f"choose another folder with --{name}, or {mend}")
    return None


def _absent(folder: Path) -> Fault:
    try:
        near = difflib.get_close_matches(folder.name, [place.name for place in folder.parent.iterdir()], n=1)
    except OSError:
        near = []
    meant = f"did you mean {folder.parent / near[0]}? Else make it" if near else "make it"
    advice = f"{meant} with `mkdir -p {shlex.quote(str(folder))}`, or choose another with --media"
    return Fault(f"there is no media folder {folder}", advice, absent=True)
