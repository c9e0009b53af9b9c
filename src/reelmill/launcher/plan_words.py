"""A plan in words: rows for the configuration of a launch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reelmill.domain.quantity import format_bitrate
from reelmill.domain.scenario import CATALOGUE
from reelmill.domain.stream_url import is_stream_url, without_key
from reelmill.launcher.checks import Checks
from reelmill.launcher.distribution import Choice, Distribution, Exponential, LogNormal, Mix, Normal, Span
from reelmill.launcher.plan import JobKind, LaunchPlan

T = TypeVar("T")
Row = tuple[str, str]


def describe_plan(plan: LaunchPlan) -> list[Row]:
    """Names and values: how many jobs, of what."""
    rows = [("jobs", f"{plan.count:,}")]
    if plan.manifest is not None:
        skipped = f" ({plan.manifest.skipped:,} are done and left out)" if plan.manifest.skipped else ""
        return [*rows, ("from", plan.manifest.source + skipped), ("seed", str(plan.seed))]
    if plan.workload is not None:
        rows.append(("workload", plan.workload))
    kinds = plan.kinds.choices
    if len(kinds) == 1:
        rows += _describe_kind(kinds[0])
    else:
        shares = zip(kinds, plan.kinds.weights, strict=True)
        rows += [(f"kind {kind.name}", f"{100 * share:.3g}%") for kind, share in shares]
    return [*rows, ("seed", str(plan.seed))]


def _describe_kind(kind: JobKind) -> list[Row]:
    every = len(kind.scenarios.choices) == len(CATALOGUE)
    return [
        *([("kind", kind.name)] if kind.name is not None else []),
        ("scenario", _mixed(kind.scenarios, lambda scenario: scenario.name, "random" if every else "mixed")),
        ("queue", _mixed(kind.queues, str, "mixed")),
        ("priority", _mixed(kind.priorities, str, "mixed")),
        ("engine", _mixed(kind.engines, str, "mixed")),
        ("duration", "of the input" if kind.duration is None else _spread(kind.duration, lambda value: f"{value:g} s")),
        *([("bitrate", _bitrate(kind))] if any(one.follows_bitrate for one in kind.scenarios.choices) else []),
        *([("encoder", kind.encoder)] if kind.encoder is not None else []),
        *([("chunk", f"{kind.chunk:g} s")] if kind.chunk is not None else []),
        *([("input", _input(kind.input))] if kind.input else []),
        *([("verify", "all is decoded")] if kind.checks.verify == "full" else []),
        *([("quality", _quality(kind.checks))] if kind.checks.quality is not None else []),
    ]


def _quality(checks: Checks) -> str:
    sample = f", one frame of {checks.quality_sample}" if checks.quality_sample > 1 else ""
    least = f", {checks.quality_min:g} or more" if checks.quality_min is not None else ""
    return f"{checks.quality}{sample}{least}"


def _mixed(choices: Mix[T], name: Callable[[T], str], several: str) -> str:
    """The only choice; ``several`` when all are as likely; else each with its share."""
    if len(choices.choices) == 1:
        return name(choices.choices[0])
    weights = choices.weights
    if max(weights) - min(weights) < 1e-9:
        return several
    shares = sorted(zip(choices.choices, weights, strict=True), key=lambda pair: -pair[1])
    more = f" and {len(shares) - 4} more" if len(shares) > 4 else ""
    return ", ".join(f"{name(choice)} {100 * weight:.3g}%" for choice, weight in shares[:4]) + more


def _bitrate(kind: JobKind) -> str:
    if kind.bitrate is None:
        return "usual range of the scenario" if kind.input is None else "middle of the scenario's range"
    return _spread(kind.bitrate, format_bitrate)


def _spread(spread: Distribution, show: Callable[[float], str]) -> str:
    match spread:
        case Span(low=low, high=high):
            return show(low) if low == high else f"{show(low).removesuffix(' s')} to {show(high)}"
        case Normal(mean=mean, sd=sd):
            return f"normal, mean {show(mean)}, standard deviation {show(sd)}"
        case LogNormal():
            return f"lognormal, median {show(spread.at(0.5, 2))}, p95 {show(spread.at(0.95, 2))}"
        case Exponential(mean=mean):
            return f"exponential, mean {show(mean)}"
        case Choice(values=values):
            return _mixed(values, show, "one of " + ", ".join(map(show, values.choices[:6])))


def _input(path: str) -> str:
    if is_stream_url(path):
        return f"{without_key(path)} (a stream)"
    if Path(path).exists():
        return path
    where = "not here" if Path(path).is_absolute() else "below the media root"
    return f"{path} ({where}; the master looks for it)"
