"""Thresholds: what a launch must have reached, such as ``failed<1%`` or ``p95(queue_wait)<5m``, and the judgement."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from reelmill.domain.quality import METRICS, Metric
from reelmill.domain.quantity import parse_duration
from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField
from reelmill.launcher.figures import LaunchFigures
from reelmill.launcher.progress import format_rate, format_seconds
from reelmill.launcher.sample import Sample

EXIT_THRESHOLD_MISSED = 99
OPTION = "--threshold"

Unit = Literal["jobs", "share", "seconds", "speed", "per_second", "score"]

COUNTS = ("completed", "failed", "timed_out", "canceled", "retried", "rejected")
QUALITY: dict[str, tuple[Metric, str]] = {
    f"{metric}{part}": (metric, part[1:] or "mean") for metric in METRICS for part in ("", "_p5", "_worst")
}
SPREADS: dict[str, Unit] = {
    "queue_wait": "seconds",
    "run_time": "seconds",
    "submit_latency": "seconds",
    "speed": "speed",
    **dict.fromkeys(QUALITY, "score"),
}
SCALARS: dict[str, Unit] = {"wall": "seconds", "throughput": "per_second"}
STATISTICS: dict[str, Callable[[Sample], float]] = {
    "p50": lambda sample: sample.percentile(0.5),
    "p90": lambda sample: sample.percentile(0.9),
    "p95": lambda sample: sample.percentile(0.95),
    "p99": lambda sample: sample.percentile(0.99),
    "min": lambda sample: sample.least,
    "max": lambda sample: sample.most,
    "avg": lambda sample: sample.mean,
}
_METRICS = (*COUNTS, *SPREADS, *SCALARS)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_SHAPE = re.compile(
    r"(?:(?P<statistic>\w+)\s*\(\s*(?P<inner>\w+)\s*\)|(?P<metric>\w+))\s*(?P<how>[<>=!]+)(?P<limit>.*)"
)
_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>.*)")
_RATES = {"": 1.0, "/s": 1.0, "/min": 60.0, "/m": 60.0, "/h": 3600.0}


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """How ``statistic`` of ``metric`` compares to ``limit``: jobs, a share (0 to 1), seconds, a speed, jobs per s."""

    text: str
    metric: str
    statistic: str | None
    how: str
    limit: float
    unit: Unit


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a threshold. ``value`` in the unit of the threshold, None when there is none; ``found`` in words.

    ``reason`` says why it was missed when it is not the value.
    """

    threshold: str
    limit: float
    unit: Unit
    passed: bool
    value: float | None
    found: str
    reason: str | None = None


def parse_thresholds(texts: Sequence[str]) -> list[Threshold]:
    """The thresholds, each once; InvalidField naming the first that cannot be understood."""
    return [parse_threshold(text) for text in dict.fromkeys(texts)]


def parse_threshold(text: str) -> Threshold:
    """``"failed<1%"``, ``"p95(queue_wait)<5m"``, ``"speed"`` and the like; InvalidField with what to write instead."""
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise InvalidField(OPTION, f"{shown} is not a threshold; write it like 'failed<1%' or 'p95(queue_wait)<5m'")
    metric, statistic, how = match["inner"] or match["metric"], match["statistic"], match["how"]
    _check_names(metric, statistic, shown)
    if how not in _COMPARE:
        likely = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!="}.get(how)
        meant = f"; did you mean {likely!r}?" if likely else ""
        raise InvalidField(OPTION, f"{shown}: unknown comparison {how!r}{meant} (one of {' '.join(_COMPARE)})")
    try:
        limit, unit = _parse_limit(metric, match["limit"].strip())
    except ValueError as error:
        raise InvalidField(OPTION, f"{shown}: {error}") from None
    return Threshold(text=text.strip(), metric=metric, statistic=statistic, how=how, limit=limit, unit=unit)


def _check_names(metric: str, statistic: str | None, shown: str) -> None:
    if metric not in _METRICS:
        if metric in STATISTICS:
            raise InvalidField(OPTION, f"{shown}: {metric} of what? Write it like {metric}(queue_wait)")
        known = f"known are {', '.join(_METRICS)}"
        raise InvalidField(OPTION, f"{shown}: {unknown_name('metric', metric, _METRICS)} ({known})")
    if metric in SPREADS and statistic is None:
        raise InvalidField(OPTION, f"{shown}: {metric} has a value for each job; write it like p95({metric})")
    if statistic is not None and metric not in SPREADS:
        raise InvalidField(OPTION, f"{shown}: {metric} is one value; write {metric} without {statistic}( )")
    if statistic is not None and statistic not in STATISTICS:
        known = f"known are {', '.join(STATISTICS)}"
        raise InvalidField(OPTION, f"{shown}: {unknown_name('statistic', statistic, STATISTICS)} ({known})")


def _parse_limit(metric: str, text: str) -> tuple[float, Unit]:
    """The limit and its unit; ValueError when the text is none for this metric."""
    match = _NUMBER.fullmatch(text)
    number, unit = (float(match["number"]), match["unit"]) if match else (0.0, text)
    if metric in COUNTS:
        if match is None or unit not in ("", "%") or (unit == "" and not number.is_integer()):
            raise ValueError(f"{text!r} is not a number of jobs; write a whole number, or a share such as 1%")
        if unit == "%" and number > 100:
            raise ValueError(f"{text!r} is more than all jobs")
        return (number / 100, "share") if unit == "%" else (number, "jobs")
    kind = SPREADS.get(metric) or SCALARS[metric]
    if kind == "seconds":
        return parse_duration(text), kind
    if kind == "speed":
        if match is None or unit not in ("", "x"):
            raise ValueError(f"{text!r} is not a speed; write media seconds per second, such as 1.5 or 1.5x")
        return number, kind
    if kind == "score":
        if match is None or unit:
            raise ValueError(f"{text!r} is not a score; write a number, such as 90")
        return number, kind
    if match is None or unit not in _RATES:
        raise ValueError(f"{text!r} is not a rate of jobs; write it like 5/s, 300/min or 1000/h")
    return number / _RATES[unit], kind


def judge(thresholds: Sequence[Threshold], figures: LaunchFigures) -> list[Verdict]:
    """Hold each threshold against what the launch came to. Without data, or before the end, a threshold is missed."""
    return [_judge(threshold, figures) for threshold in thresholds]


def _judge(threshold: Threshold, figures: LaunchFigures) -> Verdict:
    value, found, reason = _measure(threshold, figures)
    if figures.open:
        reason = f"{figures.open:,} of {figures.total:,} jobs have not ended"
    passed = value is not None and reason is None and _COMPARE[threshold.how](value, threshold.limit)
    return Verdict(
        threshold=threshold.text,
        limit=threshold.limit,
        unit=threshold.unit,
        passed=passed,
        value=value,
        found=found,
        reason=reason,
    )


def _measure(threshold: Threshold, figures: LaunchFigures) -> tuple[float | None, str, str | None]:
    """The value, the value in words, and why there is none."""
    metric = threshold.metric
    if metric in COUNTS:
        return _count(threshold, figures)
    if threshold.statistic is not None:
        if metric in QUALITY and (missing := _not_measured(metric, figures)):
            return None, "unknown", f"{missing:,} of the outputs could not be measured"
        sample = _sample(metric, figures)
        if sample is None:
            return None, "unknown", "only `reelmill launch` itself sees how long its requests took"
        if not len(sample):
            return (
                None,
                "no data",
                {"queue_wait": "no job started", "submit_latency": "nothing was sent"}.get(
                    metric, "of no output it was asked" if metric in QUALITY else "no job completed"
                ),
            )
        value = STATISTICS[threshold.statistic](sample)
        return value, _words(value, threshold.unit), None
    value = figures.wall_seconds if metric == "wall" else figures.per_second
    return (None, "no data", "no job ran") if value is None else (value, _words(value, threshold.unit), None)


def _not_measured(metric: str, figures: LaunchFigures) -> int:
    found = figures.measured.quality.get(QUALITY[metric][0])
    return 0 if found is None else found.not_measured


def _sample(metric: str, figures: LaunchFigures) -> Sample | None:
    if metric in QUALITY:
        name, part = QUALITY[metric]
        found = figures.measured.quality.get(name)
        return Sample() if found is None else getattr(found, part)
    match metric:
        case "queue_wait":
            return figures.queue_wait
        case "run_time":
            return figures.run_time
        case "speed":
            return figures.speed
        case _:
            return figures.submit.latency if figures.submit is not None else None


def _count(threshold: Threshold, figures: LaunchFigures) -> tuple[float | None, str, str | None]:
    total = figures.total
    match threshold.metric:
        case "failed":
            count = figures.failed
        case "retried":
            count = figures.retried
        case "rejected":
            if figures.submit is None:
                return None, "unknown", "only `reelmill launch` and its ledger know which jobs were rejected"
            count = figures.submit.rejected
            total += count
        case status:
            count = figures.counts[status]
    if threshold.unit == "jobs":
        return count, f"{count:,}", None
    if not total:
        return None, "no data", "there is no job"
    return count / total, f"{100 * count / total:.3g}% ({count:,} of {total:,})", None


def _words(value: float, unit: Unit) -> str:
    if unit == "seconds":
        return format_seconds(value)
    if unit == "score":
        return f"{value:.4g}"
    return f"{value:.3g}x" if unit == "speed" else format_rate(value)


def describe_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """One line for each: passed or missed, the threshold, and what was found."""
    width = max((len(verdict.threshold) for verdict in verdicts), default=0)
    return [
        f"{'passed' if verdict.passed else 'MISSED'}  {verdict.threshold.ljust(width)}  {verdict.found}"
        + (f": {verdict.reason}" if verdict.reason else "")
        for verdict in verdicts
    ]
