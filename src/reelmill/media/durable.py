"""Files and folders that are safe on disk before anything is said of them. All of it blocks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SLOWEST_READ = 20_000_000
"""Bytes per second that even a slow share delivers to who reads a whole file."""


def hash_and_sync(path: Path) -> tuple[str, int]:
    """The file's SHA-256 (hex) and size in bytes, once it is safe on disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, os.fstat(file.fileno()).st_size


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
