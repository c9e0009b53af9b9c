"""One who listens to the events of a farm: what waits for it, and what becomes of it when it reads too slowly."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from reelmill.master.happening import Wanted

MOST_WAITING = 2_000_000
"""Bytes that wait for one listener. Those with the same filter share them."""

OVERFLOW = (
    b"event: overflow\n"
    b'data: {"detail":"this stream was read too slowly; come again with the last id that was read"}\n\n'
)


class Subscriber:
    """A queue of pieces of text, bounded: what does not fit makes it end with an `overflow` event instead."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_ended = False
        self._news = asyncio.Event()

    def give(self, piece: bytes) -> bool:
        """Let the piece wait for the listener; False when that is the end of it. Nothing comes behind an overflow."""
        if self._is_ended or not piece:
            return True
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MOST_WAITING:
            self._pieces = deque([OVERFLOW])
            self._is_ended = True
        self._news.set()
        return not self._is_ended

    def end(self) -> None:
        """Let the stream end behind what waits."""
        self._is_ended = True
        self._news.set()

    async def take(self, patience: float) -> bytes | None:
        """All that waits; nothing when nothing came within so many seconds; None behind the end."""
        if not self._pieces and not self._is_ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._news.wait()
        self._news.clear()
        if not self._pieces:
            return None if self._is_ended else b""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return taken
