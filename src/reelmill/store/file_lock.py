"""A lock file: only one master may own a SQLite database. It vanishes with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from reelmill.errors import StartupError


class FileLock:
    """An exclusive flock on ``path``; the file holds the owner's process id and is removed on release."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock; StartupError naming the owner when another process has it."""
        while self._fd is None:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                advice = "choose another folder with --data, or mend its permissions"
                raise StartupError(f"cannot write to {self._path.parent}: {error.strerror}; {advice}") from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
                os.close(fd)
                advice = "stop it, or choose another folder with --data"
                sentence = f"another master (process {owner}) already uses {self._path.parent}; {advice}"
                raise StartupError(sentence) from error
            if self._is_current(fd):
                self._fd = fd
            else:  # the last owner removed the file between our open and our lock
                os.close(fd)
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the file and give the lock up; harmless when it is not held."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None
