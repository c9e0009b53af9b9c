"""Watches a live source over all connections to it: whether it is here, how long it was away, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from reelmill.domain.request import MAX_SECONDS
from reelmill.domain.stream import Received, StreamEnd

STALLED_SECONDS = 7.0  # longer than an engine waits for one that sends nothing
"""A source that sends, and of which no picture comes for so long, has begun anew behind our connection's back."""

_SLOW = 3
"""So many times the longest pause of a slow encoder, which gives pictures in batches, are no silence of the source."""

_CATCH_UP_SECONDS = 5.0
"""Pictures are looked at for a while before the first is encoded; an encoder may take so long to catch up with them.

Until then, when the first one was sent is known better with each of the others.
"""

_LEAST_SECONDS = 0.5
_OVERDUE_SECONDS = 2.0
"""An engine that reads its first connection ends by itself; when its encoder is too slow for that, so much later."""


class SourceWatch:
    """``wanted`` seconds from its first picture on are to be read; None: as long as it comes.

    A source that was here and sends nothing for ``patience`` seconds is over; one that never was here is missing.
    """

    def __init__(self, wanted: float | None, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = MAX_SECONDS if wanted is None else wanted
        self._is_bounded = wanted is not None
        self._patience = patience
        self._clock = clock
        self._first_at: float | None = None
        self._seen_at = self._lasted_until = clock()
        self._began_at = self._least_began_at = 0.0
        self._gone_at: float | None = None
        """When it went away before this connection; None of the first one."""
        self._is_here = False
        self._frames = 0
        self._longest_pause = 0.0
        self._reconnects = 0
        self._away = 0.0

    @property
    def is_here(self) -> bool:
        """Whether pictures came over this connection."""
        return self._is_here

    @property
    def was_here(self) -> bool:
        """Whether any came at all."""
        return self._first_at is not None

    @property
    def reconnects(self) -> int:
        """How often it was found again."""
        return self._reconnects

    def connect(self) -> None:
        """It is tried, for the first time or again."""
        self._is_here, self._frames, self._longest_pause = False, 0, 0.0

    def note(self, frames: int, seconds: float, *, ended: bool = False) -> None:
        """So many pictures, which last so long, came over this connection by now; those of its end were held back."""
        if frames <= self._frames or (ended and self._is_here):
            return
        now = self._clock()
        if self._is_here:
            self._longest_pause = max(self._longest_pause, now - self._seen_at)
            self._began_at = max(self._least_began_at, min(self._began_at, now - seconds))
        else:
            self._begin(now - seconds)
        if self._gone_at is None:
            self._first_at = self._began_at
        # Not until now: an encoder that lags makes pictures for a while of a source that is gone.
        self._lasted_until = max(self._lasted_until, min(now, self._began_at + seconds))
        self._is_here, self._frames, self._seen_at = True, frames, now

    def _begin(self, at: float) -> None:
        """The first picture over this connection was sent then, as far as it is known."""
        if self._first_at is not None:
            self._reconnects += 1
            self._away += self._last_absence()
            self._gone_at = self._lasted_until
        self._began_at, self._least_began_at = at, at - _CATCH_UP_SECONDS

    def _last_absence(self) -> float:
        return 0.0 if self._gone_at is None else max(0.0, self._began_at - self._gone_at)

    def forgive(self) -> None:
        """Nobody listened until now."""
        self._seen_at = self._lasted_until = self._clock()

    def is_stalled(self) -> bool:
        """Whether this connection is good for nothing more, though it stands."""
        return self._is_here and self._silent_seconds() >= max(STALLED_SECONDS, _SLOW * self._longest_pause)

    def is_overdue(self) -> bool:
        """Whether all that was wanted is over, and it is still being read."""
        if self._first_at is None:
            return False
        grace = 0.0 if self._reconnects else _OVERDUE_SECONDS
        return self._clock() - self._first_at - self._wanted >= grace

    def is_missing(self) -> bool:
        """Whether it never was here, for longer than anybody waits."""
        return self._first_at is None and self._silent_seconds() >= self._patience

    def left(self) -> float:
        """How many seconds are still to be read."""
        return self._wanted if self._first_at is None else max(0.0, self._first_at + self._wanted - self._clock())

    def percent(self) -> float:
        """How much of what is wanted is over; 0 when nobody said how much that is."""
        return 100.0 * (1 - self.left() / self._wanted) if self._is_bounded else 0.0

    def end(self) -> StreamEnd | None:
        """Why it need not be tried again; None when it must."""
        if self._first_at is None:
            return None
        if self.left() < _LEAST_SECONDS:
            return "duration"
        return "source" if self._silent_seconds() >= self._patience else None

    def received(self, end: StreamEnd) -> Received:
        """How it came in, now that it is over."""
        return Received(end, self._reconnects, round(self._away + self._last_absence(), 2))

    def _silent_seconds(self) -> float:
        return self._clock() - self._seen_at
