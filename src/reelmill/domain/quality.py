"""How much of the source an output kept: which metrics there are, what was measured, and whether it is enough."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from reelmill.domain.failure import Failure
from reelmill.errors import InvalidField

Metric = Literal["vmaf", "xpsnr", "ssim"]

METRICS: tuple[Metric, ...] = get_args(Metric)
MOST_SPARSE = 1000
"""The sparsest sample: one frame of so many."""
_HIGHEST: dict[Metric, float] = {"vmaf": 100.0, "xpsnr": 100.0, "ssim": 1.0}
_OF_EVERY_FRAME: tuple[Metric, ...] = ("xpsnr",)
"""Metrics that weigh each frame by the one before, so that a sample of frames would be another metric."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric says of an output against its source. What was not measured is None, and ``reason`` says why.

    ``mean`` is over the ``frames`` compared, ``p5`` what 5 % of them do not exceed (nearest rank), ``worst`` the least.
    ``every`` n-th frame was compared; ``seconds`` and ``cpu_seconds`` are what that took.
    """

    metric: Metric
    model: str | None = None
    mean: float | None = None
    p5: float | None = None
    worst: float | None = None
    frames: int | None = None
    every: int = 1
    seconds: float | None = None
    cpu_seconds: float | None = None
    reason: str | None = None


def check_quality(metric: Metric | None, every: int, least: float | None) -> None:
    """InvalidField with the field's name when what is asked of the quality makes no sense together."""
    field = "parameters.quality_sample"
    if metric is None:
        for name, asked in (("quality_sample", every != 1), ("quality_min", least is not None)):
            if asked:
                raise InvalidField(
                    f"parameters.{name}", f"says nothing without a quality to measure ({', '.join(METRICS)})"
                )
        return
    if not 1 <= every <= MOST_SPARSE:
        raise InvalidField(field, f"{every} is out of range (every 1st to {MOST_SPARSE}th frame)")
    if every > 1 and metric in _OF_EVERY_FRAME:
        raise InvalidField(
            field, f"cannot be {every} with {metric}, which weighs each frame by the one before; omit it"
        )
    if least is not None and not 0 <= least <= _HIGHEST[metric]:
        raise InvalidField(
            "parameters.quality_min", f"{least:g} is out of range for {metric} (0 to {_HIGHEST[metric]:g})"
        )


def judge(quality: Quality, least: float | None) -> Failure | None:
    """Why an output that must reach ``least`` on average is refused; None when it does, and when nothing was asked."""
    if least is None:
        return None
    if quality.mean is None:
        message = f"The quality of the output was to be {least:g} or more, and was not measured: {quality.reason}."
        return Failure("runtime_error", "quality_not_measured", message)
    if quality.mean >= least:
        return None
    message = (
        f"The output's {quality.metric} is {quality.mean:.4g} on average, and {least:g} was asked for; "
        "give it a higher bitrate, or ask for less."
    )
    return Failure("runtime_error", "quality_too_low", message)


def describe_quality(quality: Quality) -> str:
    """What was measured, on one line."""
    if quality.mean is None:
        return f"{quality.metric} not measured: {quality.reason}"
    sample = f", one of {quality.every}" if quality.every > 1 else ""
    figures = f"mean {quality.mean:.4g}, p5 {quality.p5:.4g}, worst {quality.worst:.4g}"
    return f"{quality.metric} {figures} ({quality.frames:,} frames{sample})"
