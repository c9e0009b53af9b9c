"""What is drawn: a value of a distribution, or a choice of a mix, each from one share between 0 and 1.

Every draw is a pure function of its share, so that the same seed gives the same jobs, whatever else changes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

_TAIL = 1e-12
"""Nothing is drawn from further out in a tail than this share."""


class Mix(msgspec.Struct, Generic[T], frozen=True):
    """Choices, each with its share: ``bounds`` are the running sums of the weights."""

    choices: tuple[T, ...]
    bounds: tuple[float, ...]

    def at(self, share: float) -> T:
        """The choice at ``share`` (0 up to, not including, 1) of all weights."""
        if len(self.choices) == 1:
            return self.choices[0]
        return self.choices[min(bisect_right(self.bounds, share * self.bounds[-1]), len(self.choices) - 1)]

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each choice; together they are 1."""
        edges = (0.0, *self.bounds)
        return tuple((high - low) / edges[-1] for low, high in zip(edges, self.bounds, strict=False))


def mix(choices: Sequence[T], weights: Sequence[float] | None = None) -> Mix[T]:
    """A mix of these choices, in equal shares when no weights are given."""
    return Mix(tuple(choices), tuple(accumulate(weights or [1.0] * len(choices))))


class Span(msgspec.Struct, frozen=True, tag="uniform"):
    """All values from ``low`` to ``high``, both included, each as likely as any other."""

    low: float
    high: float

    def at(self, share: float, digits: int) -> float:
        """The value at ``share`` (0 to 1) of the way, rounded, and never outside; a span of one value is that value."""
        if self.low == self.high:
            return self.low
        return min(max(round(self.low + (self.high - self.low) * share, digits), self.low), self.high)


class Normal(msgspec.Struct, frozen=True, kw_only=True, tag="normal"):
    """The bell curve; what falls outside ``low`` to ``high`` becomes that end."""

    mean: float
    sd: float
    low: float
    high: float

    def at(self, share: float, digits: int) -> float:
        """The value below which ``share`` (0 to 1) of all values lie, rounded."""
        return _clip(self.mean + self.sd * _standard(share), digits, self.low, self.high)


class LogNormal(msgspec.Struct, frozen=True, kw_only=True, tag="lognormal"):
    """Values whose logarithm is on the bell curve (``mu``, ``sigma``): many short ones, and a few that are long.

    What falls outside ``low`` to ``high`` becomes that end.
    """

    mu: float
    sigma: float
    low: float
    high: float

    def at(self, share: float, digits: int) -> float:
        """The value below which ``share`` (0 to 1) of all values lie, rounded."""
        exponent = min(self.mu + self.sigma * _standard(share), 700.0)  # math.exp overflows behind that
        return _clip(math.exp(exponent), digits, self.low, self.high)


class Exponential(msgspec.Struct, frozen=True, kw_only=True, tag="exponential"):
    """Values that get rarer at one rate the larger they are; those outside ``low`` to ``high`` become that end."""

    mean: float
    low: float
    high: float

    def at(self, share: float, digits: int) -> float:
        """The value below which ``share`` (0 to 1) of all values lie, rounded."""
        return _clip(-self.mean * math.log1p(-min(share, 1 - _TAIL)), digits, self.low, self.high)


class Choice(msgspec.Struct, frozen=True, tag="choices"):
    """A few values, each with its share."""

    values: Mix[float]

    @property
    def low(self) -> float:
        """The least of the values."""
        return min(self.values.choices)

    @property
    def high(self) -> float:
        """The greatest of the values."""
        return max(self.values.choices)

    def at(self, share: float, digits: int) -> float:
        """The value at ``share`` (0 up to, not including, 1) of all weights; as it was written, not rounded."""
        return self.values.at(share)


Distribution = Span | Normal | LogNormal | Exponential | Choice


def _standard(share: float) -> float:
    """The value of the standard bell curve below which ``share`` of all values lie."""
    from statistics import NormalDist  # only now: it takes as long to import as the rest of the launcher's plan

    return NormalDist().inv_cdf(min(max(share, _TAIL), 1 - _TAIL))


def _clip(value: float, digits: int, low: float, high: float) -> float:
    return min(max(round(value, digits), low), high)
