"""Whether this machine can take jobs now: its media folder answers and has room, its engines are there."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from reelmill.domain.quantity import format_size
from reelmill.service import PeriodicService

ANSWER_SECONDS = 10.0
_FRESH_SECONDS = 0.1


class Health(PeriodicService):
    """Looks every ``interval`` seconds, and passes on what it found: a sentence's end, or None when all is well."""

    def __init__(
        self,
        find: Callable[[], str | None],
        on_finding: Callable[[str | None], Awaitable[None]],
        interval: float,
    ) -> None:
        super().__init__(interval)
        self._find = find
        self._on_finding = on_finding
        self._stuck: asyncio.Future[str | None] | None = None
        self._last: tuple[float, str | None] = (-math.inf, None)
        """When the last look began, and what it found."""
        self._doubted_at = -math.inf

    @property
    def _is_fresh(self) -> bool:
        began = self._last[0]
        return began > self._doubted_at and asyncio.get_running_loop().time() - began < _FRESH_SECONDS

    async def recent(self) -> str | None:
        """What was found a moment ago: jobs that end by the thousand need not each have a look of their own."""
        return self._last[1] if self._is_fresh else await self.run_once()

    def doubt(self) -> None:
        """A job has failed, maybe for want of what the next one needs too: nothing found before is to be trusted."""
        self._doubted_at = asyncio.get_running_loop().time()
        self.wake()

    async def run_once(self) -> str | None:
        """Look now; what was found, or after ten seconds that the media folder does not answer."""
        began = asyncio.get_running_loop().time()
        # A folder that does not answer is asked once, not with every beat anew.
        look = self._stuck or asyncio.ensure_future(asyncio.to_thread(self._find))
        done, _ = await asyncio.wait({look}, timeout=ANSWER_SECONDS)
        self._stuck = None if done else look
        trouble = look.result() if done else "its media folder does not answer; look at its disk or network share"
        self._last = (began, trouble)
        await self._on_finding(trouble)
        return trouble


def find_trouble(media_root: Path, min_free: int, programs: Sequence[Path]) -> str | None:
    """Why no job could run now, as the end of "it takes no jobs: …"; None when nothing is known to keep one from it.

    ``min_free`` is in bytes. Blocks for a few system calls, on a dead network share for as long as that is dead.
    """
    try:
        disk = os.statvfs(media_root)
    except OSError as error:
        return f"its media folder cannot be reached ({error.strerror}); mount it again, or mend its permissions"
    if disk.f_flag & os.ST_RDONLY:
        return "its media disk can only be read; look at the system's log for why, and mount it for writing"
    free = disk.f_bavail * disk.f_frsize
    if free < min_free:
        return f"its media disk has {format_size(free)} free, less than `min_free` ({format_size(min_free)}); free some"
    if disk.f_files and not disk.f_favail:
        return "its media disk can hold no more files (no inodes are free); remove some"
    for program in programs:
        if not os.access(program, os.X_OK):
            shown = os.fsencode(program).decode(errors="replace")
            return f"its {program.name} is gone or may not be run ({shown}); install it again, or start the worker anew"
    return None
