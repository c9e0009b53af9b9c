"""When a launch will be done, as a band: from how fast its work got done in recent windows of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from math import ceil, floor, sqrt
from statistics import fmean, pstdev
from typing import NamedTuple

HORIZON_SECONDS = 600.0
"""What lies further back says nothing about now."""

LEAST_SECONDS = 5.0
"""Before this there is nothing to say."""

_WINDOWS = 6
_SURE = 1.64
"""Standard errors on each side: nine of ten ends lie within, if the farm stays as it is."""
_LEAST_SPREAD = 0.05
_MOST_UNEVEN = 4.0


class Band(NamedTuple):
    """Between ``low`` and ``high`` seconds."""

    low: float
    high: float


class _Seen(NamedTuple):
    at: float
    left: float


class Eta:
    """Hears now and then how much work is left, in whatever unit; knows between when and when none will be."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()

    def note(self, at: float, left: float) -> None:
        """At the time ``at`` (seconds, of any clock that only goes forward) this much work was left."""
        if self._seen and left > self._seen[0].left:  # jobs were added: a new beginning
            self._seen.clear()
        self._seen.append(_Seen(at, left))
        while self._seen[0].at < at - HORIZON_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """How much of it got done in each second, as far back as it matters; 0 when that is not known."""
        if not self._seen:
            return 0.0
        span = self._seen[-1].at - self._seen[0].at
        return (self._seen[0].left - self._seen[-1].left) / span if span >= LEAST_SECONDS else 0.0

    @property
    def stalled_seconds(self) -> float:
        """For how long nothing got done, as far as it was watched."""
        if not self._seen:
            return 0.0
        last = self._seen[-1]
        since = next((seen.at for seen in self._seen if seen.left == last.left), last.at)
        return last.at - since

    def band(self) -> Band | None:
        """Seconds until all is done; None as long as too little is known, or nothing gets done."""
        if len(self._seen) < 2:
            return None
        span = self._seen[-1].at - self._seen[0].at
        if span < LEAST_SECONDS or self._seen[0].left <= self._seen[-1].left:
            return None
        rates = self._rates(self._seen[0].at, span / _WINDOWS)
        mean = fmean(rates)
        left = self._seen[-1].left
        # What is left goes as unevenly as what was done, and the less it is the less of that evens out.
        to_come = min((self._seen[0].left - left) / left, _MOST_UNEVEN) if left else _MOST_UNEVEN
        error = sqrt(pstdev(rates) ** 2 / _WINDOWS * (1 + to_come) + (_LEAST_SPREAD * mean) ** 2)
        return Band(left / (mean + _SURE * error), left / max(mean - _SURE * error, mean / 5))

    def _rates(self, start: float, width: float) -> list[float]:
        """Work per second in each window."""
        edges = [self._left_at(start + number * width) for number in range(_WINDOWS + 1)]
        return [(before - after) / width for before, after in pairwise(edges)]

    def _left_at(self, at: float) -> float:
        """What was left then, in a straight line between two looks."""
        before = self._seen[0]
        for seen in self._seen:
            if seen.at >= at:
                share = (at - before.at) / (seen.at - before.at) if seen.at > before.at else 1.0
                return before.left + (seen.left - before.left) * share
            before = seen
        return before.left


_UNITS = ((86_400.0, "d", 2 * 86_400.0), (3600.0, "h", 1.5 * 3600.0), (60.0, "min", 100.0), (1.0, "s", 0.0))
"""Seconds, name, and from which high end on the unit is used."""


def format_band(band: Band) -> str:
    """``"12 to 19 min"``, ``"about 12 min"``, ``"40 s to 2.5 h"``: rounded outwards, because it is a guess."""
    unit, name = _unit(band.high)
    low, high = _round(band.low, unit, floor), _round(band.high, unit, ceil)
    least, least_name = _unit(band.low)
    if least < unit and band.high > 4 * band.low and _round(band.low, least, floor):
        return f"{_round(band.low, least, floor):g} {least_name} to {high:g} {name}"
    if low == 0:
        return f"less than {high:g} {name}"
    return f"about {high:g} {name}" if low == high else f"{low:g} to {high:g} {name}"


def _unit(seconds: float) -> tuple[float, str]:
    return next((size, name) for size, name, least in _UNITS if seconds >= least)


def _round(seconds: float, unit: float, towards: Callable[[float], int]) -> float:
    """Whole numbers of the unit, and halves of a few hours or days."""
    number = seconds / unit
    return towards(number * 2) / 2 if number < 10 and unit >= 3600 else float(towards(number))
