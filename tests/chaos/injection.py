"""System calls of a running process that fail, by strace."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

from tests.e2e.conftest import wait_for


@contextlib.contextmanager
def injected(
    pid: int, folder: Path, calls: str, fault: str, *, path: Path | None = None
) -> Generator[None, None, None]:
    """From here to the end of the block each of these ``calls`` of the process meets the ``fault`` (strace's words).

    With a ``path`` only those that name it.
    """
    said = folder / "strace.txt"
    argv = ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    argv += [] if path is None else ["-P", str(path)]
    with said.open("w") as file:
        strace = subprocess.Popen([*argv, "-o", str(folder / "calls.txt")], stderr=file)
    try:
        wait_for(lambda: said.read_text(), lambda text: "attached" in text or strace.poll() is not None)
        assert strace.poll() is None, said.read_text()
        yield
    finally:
        strace.terminate()
        strace.wait(10)
