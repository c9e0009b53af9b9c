"""File systems of a chosen size, to fill up."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest


@contextlib.contextmanager
def disk_of(folder: Path, size: str) -> Generator[Path, None, None]:
    """A file system of ``size`` (as mount knows it: ``2m``) at ``folder``, which is made; skips who may not mount."""
    folder.mkdir(parents=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """A file that takes what is free on that disk but for ``leave`` bytes."""
    ballast = folder / "ballast"
    piece = bytes(4096)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(piece) == len(piece):
            pass
    with ballast.open("r+b") as file:
        file.truncate(max(0, ballast.stat().st_size - leave))
    return ballast
