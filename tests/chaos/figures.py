"""What measurements are told in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies; NaN when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def seconds_of(moment: str) -> float:
    """Seconds since the epoch of a time that the API told."""
    return datetime.fromisoformat(moment).timestamp()
