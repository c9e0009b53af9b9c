"""The clock of one engine run, which stands still while the engine does."""

from __future__ import annotations

import time


class RunClock:
    """Seconds in which an engine was let run: what its timeout and its silence are measured in."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stood = 0.0
        self._stopped_at: float | None = None

    @property
    def stands(self) -> bool:
        """Whether it was stopped."""
        return self._stopped_at is not None

    def stop(self) -> None:
        """Stand still; harmless when it does."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()

    def go_on(self) -> None:
        """Go on from where it was stopped; harmless when it was not."""
        if self._stopped_at is not None:
            self._stood += time.monotonic() - self._stopped_at
            self._stopped_at = None

    def seconds(self) -> float:
        """Seconds run since the beginning."""
        until = time.monotonic() if self._stopped_at is None else self._stopped_at
        return until - self._began - self._stood

    def stretch(self) -> float:
        """How many times longer the run took by the wall's clock than by this one; at least 1."""
        ran = self.seconds()
        return (time.monotonic() - self._began) / ran if ran > 0 else 1.0
