"""What is to be checked of each output, from what was typed or written about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from reelmill.domain.job import VerifyDepth
from reelmill.domain.quality import METRICS, Metric
from reelmill.domain.suggestion import unknown_name
from reelmill.launcher.quantities import Said, shown


class Checks(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parameters of a job that ask for checks, under their own names."""

    quality: Metric | None = None
    quality_sample: int = 1
    quality_min: float | None = None
    verify: VerifyDepth = "ends"


NO_CHECKS = Checks()
CHECKS = tuple(Checks.__struct_fields__)


def read_checks(said: Mapping[str, Said], otherwise: Checks = NO_CHECKS) -> Checks:
    """The checks, where nothing is said those of ``otherwise``; InvalidField naming the place of what is no value.

    Whether they make sense together, the domain says.
    """
    return Checks(
        quality=_read_metric(said["quality"]) if "quality" in said else otherwise.quality,
        quality_sample=_read_sample(said["quality_sample"]) if "quality_sample" in said else otherwise.quality_sample,
        quality_min=_read_number(said["quality_min"]) if "quality_min" in said else otherwise.quality_min,
        verify=_read_depth(said["verify"]) if "verify" in said else otherwise.verify,
    )


def _read_metric(said: Said) -> Metric:
    if said.value not in METRICS:
        raise said.refuse(unknown_name("metric", str(said.value)[:60], METRICS))
    return said.value


def _read_depth(said: Said) -> VerifyDepth:
    for depth in get_args(VerifyDepth):
        if said.value == depth:
            return depth
    raise said.refuse(unknown_name("depth", str(said.value)[:60], get_args(VerifyDepth)))


def _read_sample(said: Said) -> int:
    number = _read_number(said)
    if not number.is_integer():
        raise said.refuse(f"{shown(said.value)} is not a whole number; 5 means every fifth frame")
    return int(number)


def _read_number(said: Said) -> float:
    try:
        if isinstance(said.value, bool) or not isinstance(said.value, str | int | float):
            raise ValueError
        number = float(said.value)
    except ValueError:
        raise said.refuse(f"{shown(said.value)} is not a number") from None
    if not abs(number) < float("inf"):
        raise said.refuse(f"{shown(said.value)} is not a number")
    return number
