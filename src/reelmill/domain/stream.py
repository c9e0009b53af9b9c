"""What is told of a live stream while it runs, and behind its end."""

from __future__ import annotations

from typing import Literal

import msgspec

OutputMode = Literal["file", "rtmp"]
StreamEnd = Literal["duration", "source"]
StreamState = Literal["connecting", "sending", "reconnecting"]

_WORTH_TELLING_SECONDS = 0.5  # less is no lag: the encoder says every quarter of a second where it is


class Received(msgspec.Struct, frozen=True):
    """How a stream came in: it was lost and found ``reconnects`` times, and ``away`` for so many seconds between.

    ``end`` says whose end it was: the ``duration`` was over, or the ``source`` was away for too long.
    """

    end: StreamEnd
    reconnects: int = 0
    away: float = 0.0


class StreamProgress(msgspec.Struct, frozen=True):
    """How a stream does now: ``lag`` is seconds behind real time, the most so far ``most_lag``.

    ``dropped`` counts frames that were encoded while no server took them, ``reconnects`` how often a lost server, or
    the source of the input, was found again. A stream that is recorded is ``sending`` while it comes.
    """

    state: StreamState
    lag: float = 0.0
    most_lag: float = 0.0
    dropped: int = 0
    reconnects: int = 0

    def describe(self) -> str:
        """``"sending, 1.2 s behind, 139 frames dropped, 1 reconnect"``: the state, and what is not as it should be."""
        parts = [
            self.state,
            f"{self.lag:.1f} s behind" if self.lag >= _WORTH_TELLING_SECONDS else "",
            f"{self.dropped:,} frames dropped" if self.dropped else "",
            f"{self.reconnects:,} reconnect{'' if self.reconnects == 1 else 's'}" if self.reconnects else "",
        ]
        return ", ".join(part for part in parts if part)
