"""Watches a stream by what its ffmpeg says: whether a server takes it, what was dropped, and how far behind it is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from reelmill.domain.stream import StreamProgress, StreamState

# ffmpeg's threads write between each other's words: a line may have lost the name of who says it, or stand behind
# another's beginning. Only its own words are looked for.
_CONNECTED = re.compile(r"Successfully connected to \S+ port \d+$")
_CLOSED = re.compile(r"Statistics: (\d+) bytes written, ")
_OPENED = re.compile(r"Stream mapping:$")
_HDR = re.compile(r"Stream #\d+:\d+.*: Video: .*\b(?:smpte2084|arib-std-b67)\b")
_SOUND = re.compile(r"Stream #\d+:\d+ -> #0:1 \(")
_LOST = re.compile(r"Recovery attempt #\d+$")
_REFUSED = re.compile(r"Recovery failed: (.+)")
_UNTRUSTED = re.compile(r"SSL routines::(.+)")
_RECOVERED = re.compile(r"Recovery successful$")
_OVERFLOW = re.compile(r"FIFO queue full$")
_KEY_FRAME = re.compile(r"[Kk]eyframe received, recovering")
_SERVER_SAYS = re.compile(r"Server error: (.+)")
_SURE_SECONDS = 8.0
"""A first connection that stands longer was accepted: the server's silence would have ended it by now."""


class StreamWatch:
    """The state and the figures of one run. ``queued_frames`` may wait for the server before some are dropped.

    When its input is a stream too, ``reads_stream``, the words that come before its output is opened are of that.
    """

    def __init__(
        self, queued_frames: int, clock: Callable[[], float] = time.monotonic, *, reads_stream: bool = False
    ) -> None:
        self._is_of_input = reads_stream
        self.is_hdr = False
        """Whether the pictures of the input are."""
        self.has_sound = False
        """Whether sound is encoded too."""
        self._queued_frames = queued_frames
        self._clock = clock
        self._began = clock()
        self._state: StreamState = "connecting"
        self._connected_at: float | None = None
        self._was_accepted = False
        self._frames = 0
        self._lost_at: int | None = None
        self._dropped = 0
        self._reconnects = 0
        self._origin: float | None = None
        self._lag = self._most_lag = 0.0
        self._written: list[int] = []
        self._trouble = self._cause = ""

    @property
    def is_connected(self) -> bool:
        """Whether a server takes the stream, as far as it is known."""
        return self._state == "sending"

    @property
    def trouble(self) -> str:
        """Why there was no connection, in the last words of the server or the network; empty when none were said."""
        return self._trouble

    @property
    def bytes_sent(self) -> int:
        """What was written to the network, once the engine has ended by itself; its own progress is written last."""
        return sum(self._written[:-1])

    def unreachable_seconds(self) -> float:
        """How long the server has been looked for, if it never was there."""
        return 0.0 if self._was_accepted or self.is_connected else self._clock() - self._began

    def progress(self) -> StreamProgress:
        """How the stream does now."""
        missing = 0 if self._lost_at is None else self._frames - self._lost_at
        return StreamProgress(
            state=self._state,
            lag=round(self._lag, 2),
            most_lag=round(self._most_lag, 2),
            dropped=self._dropped + missing,
            reconnects=self._reconnects,
        )

    def note(self, frames: int, media_seconds: float) -> None:
        """So much is encoded by now."""
        self._frames = frames
        if media_seconds <= 0:
            return
        behind = self._clock() - media_seconds
        if self._origin is None or behind < self._origin:
            self._origin = behind
        self._lag = behind - self._origin
        self._most_lag = max(self._most_lag, self._lag)

    def hear(self, line: str) -> None:
        """Take in a line of what the engine says on stderr."""
        if self._is_of_input:
            self.is_hdr = self.is_hdr or _HDR.search(line) is not None
            self._is_of_input = not _OPENED.search(line)
            self._began = self._clock()
        elif _SOUND.search(line):
            self.has_sound = True
        elif _LOST.search(line):
            self._lose()
        elif _RECOVERED.search(line):
            self._recover()
        elif _KEY_FRAME.search(line):
            self._catch_up()
        elif _OVERFLOW.search(line):
            self._overflow()
        elif _CONNECTED.search(line):
            if self._state == "connecting" and self._connected_at is None:
                self._state, self._connected_at = "sending", self._clock()
        elif found := _CLOSED.search(line):
            self._written.append(int(found[1]))
        elif found := _UNTRUSTED.search(line):
            self._cause = found[1]
        elif found := _REFUSED.search(line) or _SERVER_SAYS.search(line):
            self._trouble, self._cause = self._cause or found[1], ""

    def _is_sure(self) -> bool:
        return (
            self.is_connected
            and self._connected_at is not None
            and (self._clock() - self._connected_at >= _SURE_SECONDS)
        )

    def _lose(self) -> None:
        if self._state == "sending":
            self._was_accepted = self._was_accepted or self._is_sure()
        self._state = "reconnecting" if self._was_accepted else "connecting"
        if self._lost_at is None:
            self._lost_at = self._frames if self._was_accepted else 0

    def _recover(self) -> None:
        if self._was_accepted:
            self._reconnects += 1
        self._was_accepted, self._state = True, "sending"

    def _overflow(self) -> None:
        # What waited is thrown away, too.
        oldest = max(0, self._frames - self._queued_frames)
        self._lost_at = oldest if self._lost_at is None else min(self._lost_at, oldest)

    def _catch_up(self) -> None:
        if self._lost_at is not None:
            self._dropped += self._frames - self._lost_at
            self._lost_at = None
