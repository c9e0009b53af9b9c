"""What an engine says, in bounded memory: the head and tail of a text, and a stream cut into lines."""

from __future__ import annotations

from collections.abc import Callable

HEAD_BYTES = 16 * 1024
TAIL_BYTES = 48 * 1024
_LONGEST_LINE = 64 * 1024


class BoundedText:
    """Keeps the first ``head`` and the last ``tail`` bytes of what it is fed, and counts what lies between."""

    def __init__(self, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._room, self._tail_size = head, tail
        self._head, self._tail = bytearray(), bytearray()
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        first, rest = data[: self._room], data[self._room :]
        self._room -= len(first)
        self._head += first
        self._tail += rest
        if len(self._tail) > 2 * self._tail_size:  # cut seldom: every cut moves what is kept
            self._cut()

    def text(self) -> str:
        """What was kept, with a line in the gap that says how many bytes are missing."""
        self._cut()
        gap = f"\n... {self._left_out} bytes left out ...\n".encode() if self._left_out else b""
        return (self._head + gap + self._tail).decode(errors="replace")

    def _cut(self) -> None:
        excess = len(self._tail) - self._tail_size
        if excess > 0:
            del self._tail[:excess]
            self._left_out += excess


class LineSplitter:
    """Hands complete lines, without their end, to ``on_line``. What is longer than 64 KiB comes in pieces."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._on_line(line.decode(errors="replace"))
