"""What an ffmpeg that streams says, line by line: all of it for the watch, what people want to read for the log."""

from __future__ import annotations

import re
from collections.abc import Callable

from reelmill.worker.engine_output import LineSplitter

_FOR_THE_WATCH_ONLY = "[verbose]"
_POINTER = re.compile(r" @ 0x[0-9a-f]+")


class StreamWords:
    """Hands each line to ``on_line``, and keeps those that are news; with all keys, since hidden ones spoil words."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._lines = LineSplitter(self._take)
        self._kept: list[str] = []
        self._last = ""

    def feed(self, words: bytes) -> bytes:
        """Take in the next bytes; the lines that they end and that are worth keeping."""
        self._lines.feed(words)
        kept, self._kept = self._kept, []
        return "".join(f"{line}\n" for line in kept).encode()

    def _take(self, line: str) -> None:
        self._on_line(line)
        news = _POINTER.sub("", line)
        if _FOR_THE_WATCH_ONLY not in line and news != self._last:  # a server that is away is told of every second
            self._kept.append(line)
            self._last = news
