"""When each job of an open-loop launch is due: at a rate, along a ramp, or at random as independent users would."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator

import msgspec

from reelmill.domain.quantity import parse_duration
from reelmill.errors import InvalidField
from reelmill.launcher.plan import ArrivalText

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<kilo>[kK]?)(?:\s*/\s*(?P<unit>s|sec|m|min|h))?")
_UNITS = {None: 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_RAMP = re.compile(r"(?P<low>[^.]*(?:\.\d+)?)\.\.(?P<high>.+?)\s+(?:over|in)\s+(?P<over>\S+)")
_RAMP_ADVICE = "write it like '0..500/s over 2m'"
MOST_PER_SECOND = 1_000_000.0


class Arrival(msgspec.Struct, frozen=True):
    """Jobs a second: from ``low``, over ``seconds``, to ``high``, and at that from then on. ``poisson``: at random."""

    low: float
    high: float
    seconds: float = 0.0
    poisson: bool = False

    def __str__(self) -> str:
        rate = f"{self.high:g}/s" if not self.seconds else f"{self.low:g} to {self.high:g}/s over {self.seconds:g} s"
        return f"{rate}, at random (Poisson)" if self.poisson else rate


def read_arrival(
    rate: str | None, ramp: str | None, poisson: bool, planned: ArrivalText | None = None
) -> Arrival | None:
    """From the options as typed, else as ``planned``; None for as fast as the master takes them.

    InvalidField names the option.
    """
    if rate is None and ramp is None and planned is not None:
        rate, ramp, poisson = planned.rate, planned.ramp, poisson or planned.poisson
    if rate is not None and ramp is not None:
        raise InvalidField("--ramp", "a ramp ends in its own rate; leave out --rate")
    if ramp is not None:
        return _read_ramp(ramp, poisson)
    if rate is None:
        if poisson:
            raise InvalidField("--poisson", "needs a --rate or a --ramp")
        return None
    high = _read_rate("--rate", rate)
    if not high:
        raise InvalidField("--rate", "must be more than 0")
    return Arrival(high, high, poisson=poisson)


def _read_ramp(text: str, poisson: bool) -> Arrival:
    match = _RAMP.fullmatch(text.strip())
    if match is None:
        raise InvalidField("--ramp", f"{text[:60]!r} is not a ramp; {_RAMP_ADVICE}")
    unit = match["high"].partition("/")[2]
    low = match["low"] if "/" in match["low"] or not unit else f"{match['low']}/{unit}"
    try:
        seconds = parse_duration(match["over"])
    except ValueError as error:
        raise InvalidField("--ramp", f"{error}; {_RAMP_ADVICE}") from None
    found = Arrival(_read_rate("--ramp", low), _read_rate("--ramp", match["high"]), seconds, poisson)
    if not found.high:
        raise InvalidField("--ramp", "must not end at 0: the last jobs would never be sent")
    return found


def _read_rate(option: str, text: str) -> float:
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise InvalidField(option, f"{text[:60]!r} is not a rate; write jobs a second, such as 200/s or 30/min")
    rate = float(match["number"]) * (1000 if match["kilo"] else 1) / _UNITS[match["unit"]]
    if rate > MOST_PER_SECOND:
        raise InvalidField(option, f"{text[:60]!r} is more than {MOST_PER_SECOND:,.0f} jobs a second")
    return rate


def arrival_times(arrival: Arrival, seed: int) -> Iterator[float]:
    """Seconds since the beginning at which each job is due, for ever; the same seed gives the same times.

    The n-th job is due when the expected number of arrivals reaches n; for Poisson arrivals the distances between
    those numbers are drawn from the exponential distribution, with a generator apart from that of the jobs.
    """
    draw = random.Random(f"arrivals {seed}").random
    number = 0.0
    while True:
        number += -math.log(1.0 - draw()) if arrival.poisson else 1.0
        yield _due(arrival, number if arrival.poisson else number - 1)


def _due(arrival: Arrival, number: float) -> float:
    """When ``number`` arrivals are expected: the integral of the rate, solved for time."""
    low, high, over = arrival.low, arrival.high, arrival.seconds
    on_ramp = (low + high) / 2 * over
    if number >= on_ramp:
        return over + (number - on_ramp) / high
    if number <= 0:
        return 0.0
    slope = (high - low) / over
    return 2 * number / (low + math.sqrt(low * low + 2 * slope * number))
