"""System calls of a running process that fail, by strace."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.conftest import wait_for

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextlib.contextmanager
def injected(pid: int, folder: Path, calls: str, fault: str) -> Generator[None, None, None]:
    """From here to the end of the block each of these ``calls`` of the process meets the ``fault`` (strace's words)."""
    said = folder / "strace.txt"
    argv = ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    with said.open("w") as file:
        strace = subprocess.Popen([*argv, "-o", str(folder / "calls.txt")], stderr=file)
    try:
        wait_for(lambda: said.read_text(), lambda text: "attached" in text or strace.poll() is not None)
        if strace.poll() is not None:
            assert "Operation not permitted" in said.read_text(), said.read_text()
            pytest.skip("strace may not trace here")
        yield
    finally:
        strace.terminate()
        strace.wait(10)
