"""Inputs that were fetched, kept as long as there is room: what nobody needs goes first that was used longest ago."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

from reelmill.domain.attempt import AttemptKey

_LONGEST_SUFFIX = 16
PART = ".part"


class InputCache:
    """Files in one folder that is this process's alone. Inputs that attempts use may exceed ``limit`` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._sizes: OrderedDict[str, int] = OrderedDict()
        """The names in the folder, the one used longest ago first, with their size or what it will be."""
        self._users: dict[str, set[AttemptKey]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def open(self) -> None:
        """Take over what is whole from an earlier run. Blocks for a few system calls."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[int, str, int]] = []
        for path in self._folder.iterdir():
            if path.name.endswith(PART):
                path.unlink()
            else:
                about = path.stat()
                found.append((about.st_mtime_ns, path.name, about.st_size))
        self._sizes = OrderedDict((name, size) for _, name, size in sorted(found))
        self._evict(self._limit)

    @asynccontextmanager
    async def entry(self, key: AttemptKey, relative: str, etag: str, size: int) -> AsyncGenerator[Path, None]:
        """Where that version of the input is, or is to be put, for one user at a time; kept until ``release``.

        What is fetched comes into the path with ``PART`` behind it, and is renamed when it is whole.
        """
        name = _name_of(relative, etag)
        self._users.setdefault(name, set()).add(key)
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            path = self._folder / name
            if not path.exists():
                self._make_room(name, size)
            self._sizes[name] = size
            self._sizes.move_to_end(name)
            yield path
            with contextlib.suppress(OSError):
                os.utime(path)  # the order outlives this process

    def release(self, key: AttemptKey) -> None:
        """The attempt needs no input any more."""
        for name in [name for name, users in self._users.items() if key in users]:
            self._users[name].discard(key)
            if not self._users[name]:
                del self._users[name]
                self._locks.pop(name, None)
                if not (self._folder / name).exists():
                    self._remove(name)  # a piece of a fetch that nobody goes on with
        self._evict(self._limit)

    def _make_room(self, name: str, size: int) -> None:
        self._sizes.pop(name, None)
        part = self._folder / (name + PART)
        missing = size - (part.stat().st_size if part.exists() else 0)
        self._evict(self._limit - size)
        while shutil.disk_usage(self._folder).free < missing and self._evict_one():
            pass

    def _evict(self, limit: int) -> None:
        while sum(self._sizes.values()) > limit and self._evict_one():
            pass

    def _evict_one(self) -> bool:
        idle = next((name for name in self._sizes if name not in self._users), None)
        if idle is None:
            return False
        self._remove(idle)
        return True

    def _remove(self, name: str) -> None:
        self._sizes.pop(name, None)
        for path in (self._folder / name, self._folder / (name + PART)):
            path.unlink(missing_ok=True)


def _name_of(relative: str, etag: str) -> str:
    """Another name for each version of each input, with the suffix by which engines may know a format."""
    said = f"{relative}\n{etag}".encode(errors="surrogatepass")
    suffix = PurePosixPath(relative).suffix
    return hashlib.sha256(said).hexdigest() + (suffix if len(suffix) <= _LONGEST_SUFFIX and suffix != PART else "")
