"""When a failed job is tried again, and when trying ends."""

from __future__ import annotations

import random

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """Limits and backoff. ``max_failures`` tries may fail; ``max_crashes`` tries may take their worker with them."""

    max_failures: int = 3
    max_crashes: int = 3
    base_seconds: float = 2.0
    cap_seconds: float = 300.0

    def backoff(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after the ``failures``-th failure: full jitter below a doubling ceiling."""
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(max(0, failures - 1), 64))
        return rng.uniform(0, ceiling)
