"""A quantity as it is typed or written in a workload file: one value, a range, or a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField
from reelmill.launcher.distribution import Choice, Distribution, Exponential, LogNormal, Normal, Span, mix

_P95 = 1.6448536269514722
"""How many standard deviations above the mean the 95th percentile of the bell curve is."""

_KEYS: dict[str, tuple[str, ...]] = {
    "uniform": ("min", "max"),
    "normal": ("mean", "sd", "min", "max"),
    "lognormal": ("median", "p95", "mean", "sd", "min", "max"),
    "exponential": ("mean", "min", "max"),
    "choices": ("values", "weights"),
}


class Said(NamedTuple):
    """A value that somebody gave, and where: ``--queue``, or ``mix.toml: kinds.news.queue``."""

    value: object
    place: str

    def refuse(self, message: str) -> InvalidField:
        """The error that names the place."""
        return InvalidField(self.place, message)

    def under(self, key: str) -> str:
        """The place of a key below this one."""
        return f"{self.place}.{key}"


class Quantity(NamedTuple):
    """How one sort of values is read, and the bounds that a curve has when none are given."""

    parse: Callable[[str], float]
    low: float
    high: float


def as_table(said: Said) -> Mapping[str, object] | None:
    """The value when it is a table, with text as its keys."""
    if not isinstance(said.value, dict):
        return None
    table = cast("dict[object, object]", said.value)  # pyright: ignore[reportUnknownMemberType]
    return {str(key): value for key, value in table.items()}


def as_list(value: object) -> list[object] | None:
    """The value when it is a list."""
    return cast("list[object]", value) if isinstance(value, list) else None


def read_number(said: Said) -> float:
    """A finite number; InvalidField when it is none."""
    if isinstance(said.value, bool) or not isinstance(said.value, int | float):
        raise said.refuse(f"{shown(said.value)} is not a number")
    try:
        number = float(said.value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise said.refuse(f"{shown(said.value)} is not a finite number")
    return number


def read_quantity(said: Said, quantity: Quantity) -> float:
    """One value: a number, or text with a unit; InvalidField when it is neither or is negative."""
    if isinstance(said.value, str):
        if said.value.strip().startswith("-"):
            raise said.refuse(f"{shown(said.value)} must not be negative")
        try:
            return quantity.parse(said.value)
        except ValueError as error:
            raise said.refuse(str(error)) from None
    number = read_number(said)
    if number < 0:
        raise said.refuse(f"{number:g} must not be negative")
    return number


def read_distribution(said: Said, quantity: Quantity) -> Distribution:
    """``"5M"``, ``"4M-10M"``, a number, or a table that names a distribution; InvalidField when it is none of these."""
    table = as_table(said)
    if table is not None:
        return _read_table(said, table, quantity)
    if isinstance(said.value, str):
        return _read_text(said, said.value.strip(), quantity)
    if as_list(said.value) is not None:
        raise said.refuse('is a list; write a range as "30-300", or a table such as {distribution = "normal", ...}')
    value = read_quantity(said, quantity)
    return Span(value, value)


def _read_text(said: Said, text: str, quantity: Quantity) -> Span:
    if text.startswith("-"):
        raise said.refuse(f"{text[:60]!r} must not be negative")
    low, dash, high = text.partition("-")
    if dash and not high.strip():
        raise said.refuse(f"{text[:60]!r} has no end; write one value, or a range LOW-HIGH such as {low or 30}-300")
    try:
        if not dash:
            value = quantity.parse(text)
            return Span(value, value)
        span = Span(quantity.parse(low), quantity.parse(high))
    except ValueError as error:
        raise said.refuse(f"{error}, or a range LOW-HIGH") from None
    if span.low > span.high:
        raise said.refuse(f"{text!r} begins above its end; write LOW-HIGH")
    return span


def _read_table(said: Said, table: Mapping[str, object], quantity: Quantity) -> Distribution:
    kind = table.get("distribution")
    if not isinstance(kind, str) or kind not in _KEYS:
        names = ", ".join(_KEYS)
        if not isinstance(kind, str):
            raise said.refuse(f"needs a key 'distribution' (one of {names})")
        raise InvalidField(said.under("distribution"), unknown_name("distribution", kind, _KEYS))
    for key in table:
        if key not in ("distribution", *_KEYS[kind]):
            raise InvalidField(said.under(key), unknown_name(f"key of {kind}", key, _KEYS[kind]))
    if kind == "choices":
        return _read_choices(said, table, quantity)

    def value(key: str) -> float:
        if key not in table:
            raise said.refuse(f"a {kind} distribution needs {key!r}")
        return read_quantity(Said(table[key], said.under(key)), quantity)

    low = value("min") if "min" in table or kind == "uniform" else quantity.low
    high = value("max") if "max" in table or kind == "uniform" else quantity.high
    if low > high:
        raise InvalidField(said.under("min"), "is above 'max'")
    if kind == "uniform":
        return Span(low, high)
    low, high = max(low, quantity.low), min(high, quantity.high)
    match kind:
        case "normal":
            return Normal(mean=value("mean"), sd=value("sd"), low=low, high=high)
        case "exponential":
            return Exponential(mean=value("mean"), low=low, high=high)
        case _:
            return _read_lognormal(said, table, value, low, high)


def _read_lognormal(
    said: Said, table: Mapping[str, object], value: Callable[[str], float], low: float, high: float
) -> LogNormal:
    """From the median and the 95th percentile, or from the mean and the standard deviation of the values."""
    by_median = {"median", "p95"} & table.keys()
    if bool(by_median) == bool({"mean", "sd"} & table.keys()):
        raise said.refuse("a lognormal distribution needs 'median' and 'p95', or 'mean' and 'sd'")
    if by_median:
        median, p95 = value("median"), value("p95")
        if not 0 < median <= p95:
            raise InvalidField(said.under("p95"), "must be at least the median, and both above 0")
        return LogNormal(mu=math.log(median), sigma=math.log(p95 / median) / _P95, low=low, high=high)
    mean, sd = value("mean"), value("sd")
    if mean <= 0:
        raise InvalidField(said.under("mean"), "must be above 0")
    variance = math.log1p((sd / mean) ** 2)
    return LogNormal(mu=math.log(mean) - variance / 2, sigma=math.sqrt(variance), low=low, high=high)


def _read_choices(said: Said, table: Mapping[str, object], quantity: Quantity) -> Choice:
    given = as_list(table.get("values"))
    if not given:
        raise InvalidField(said.under("values"), 'must be a list of values, such as ["30s", "5m"]')
    values = [read_quantity(Said(item, f"{said.under('values')}[{n}]"), quantity) for n, item in enumerate(given)]
    if "weights" not in table:
        return Choice(mix(values))
    weights = as_list(table["weights"])
    if weights is None or len(weights) != len(values):
        raise InvalidField(said.under("weights"), f"must be a list of {len(values)} numbers, one for each value")
    return Choice(mix(values, [read_weight(Said(w, f"{said.under('weights')}[{n}]")) for n, w in enumerate(weights)]))


def read_weight(said: Said) -> float:
    """A number above 0."""
    weight = read_number(said)
    if weight <= 0:
        raise said.refuse(f"{weight:g} is no weight; it must be above 0 (leave out what is not wanted)")
    return weight


def shown(value: object) -> str:
    """A value for a sentence, cut when it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
