"""What an engine says, in bounded memory: the head and tail of a text, and a stream cut into lines."""

from __future__ import annotations

from collections.abc import Callable

HEAD_BYTES = 16 * 1024
TAIL_BYTES = 48 * 1024
_LONGEST_LINE = 64 * 1024
_FRESH_BYTES = 8 * 1024
_FRESH_LINES = 50
_FRESH_WIDTH = 500


class GaveUp(Exception):
    """The engine has said that it failed. It may not end by itself."""


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


class FreshLines:
    """What came since it was last taken: the first lines of it, and how many more there were.

    It is fed with all that an engine says, so it only gathers bytes; they become lines when somebody takes them.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._left_out = 0

    @property
    def is_fresh(self) -> bool:
        """Whether anything came."""
        return bool(self._data or self._left_out)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        room = _FRESH_BYTES - len(self._data)
        self._data += data[:room]
        if len(data) > room:
            self._left_out += data.count(b"\n", room)

    def take(self, *, whole: bool) -> tuple[list[str], int]:
        """The new lines, without their ends, and how many were left out; ``whole``: one that is not ended waits."""
        *lines, rest = self._data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        waits = whole and len(self._data) < _FRESH_BYTES
        if not waits and not self._left_out:  # else its end was counted as one that was left out
            lines.append(rest)
        said = [line for line in lines if line.strip()]
        left_out = self._left_out + max(0, len(said) - _FRESH_LINES)
        self._data, self._left_out = bytearray(rest if waits else b""), 0
        return [line[:_FRESH_WIDTH].decode(errors="replace") for line in said[:_FRESH_LINES]], left_out


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
