"""What this machine has too little of to use all its CPU units at once, and how many it can use."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

from reelmill.domain.quantity import format_size

_MEMORY_OF_A_UNIT = 200_000_000
"""Measured: x264 takes 100 MB for 480p (1 unit), 400 MB for 1080p (4 units), 1.5 GB for 4K (8 units)."""
_MEMORY_OF_THE_FARM = 150_000_000
_FILES_OF_A_JOB = 4
"""Two pipes, a descriptor of the process, and a file that is hashed or a folder that is synced."""
_SPARE_FILES = 12
"""For clients of the API, readers of the database, and an engine that is about to start."""


class Shortage(NamedTuple):
    """How many units can be used, and why not more, as a sentence."""

    units: int
    reason: str


def find_memory_shortage(units: int, memory: int) -> Shortage | None:
    """Whether ``memory`` bytes are too few for so many units."""
    enough_for = max(1, (memory - _MEMORY_OF_THE_FARM) // _MEMORY_OF_A_UNIT)
    if enough_for >= units:
        return None
    return Shortage(
        enough_for,
        f"uses {enough_for} of {units} units: there are {format_size(memory)} of memory, and a unit needs about"
        f" {format_size(_MEMORY_OF_A_UNIT)}; give it more, or say with `--slots` how many units to use all the same",
    )


def find_file_shortage(units: int, limit: int, in_use: int) -> Shortage | None:
    """Whether a process that may have ``limit`` files open, and has ``in_use`` before its first job, has too few."""
    enough_for = max(1, (limit - in_use - _SPARE_FILES) // _FILES_OF_A_JOB)
    if enough_for >= units:
        return None
    return Shortage(
        enough_for,
        f"uses {enough_for} of {units} units: it may have only {limit} files open; raise that limit (`ulimit -n 1024`)",
    )


def file_limit() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_files() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  a Path would open it once more; the list itself counts


def find_full_temporary_folder() -> str | None:
    """A sentence when the folder for temporary files is full; None when it is not, or cannot be looked at."""
    folder = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  nothing is written there
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    if disk.f_bavail * disk.f_frsize > 0:
        return None
    shown = os.fsencode(folder).decode(errors="replace")
    return f"the folder for temporary files, {shown}, is full: the farm goes on without it; free some space for others"
