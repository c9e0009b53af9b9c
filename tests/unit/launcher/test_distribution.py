"""Distributions: what is drawn is what was asked for, as near as chance leaves it, within the limits."""

from __future__ import annotations

import math
import random
from statistics import fmean, quantiles, stdev
from typing import Any

import pytest

from reelmill.domain.scenario import CATALOGUE
from reelmill.launcher.distribution import mix
from reelmill.launcher.kind import read_kind
from reelmill.launcher.plan import LaunchPlan, plan_jobs
from reelmill.launcher.quantities import Said

N = 20_000


def lengths(**table: Any) -> list[float]:
    """Drawn lengths of N jobs, in order."""
    kind = read_kind({"duration": Said(table, "here")})
    draw = random.Random(1).random
    assert kind.duration is not None
    return sorted(kind.duration.at(draw(), 2) for _ in range(N))


def test_a_normal_distribution_has_its_mean_and_deviation() -> None:
    """Within five standard errors."""
    drawn = lengths(distribution="normal", mean="10m", sd="1m")
    assert fmean(drawn) == pytest.approx(600, abs=5 * 60 / math.sqrt(N))
    assert stdev(drawn) == pytest.approx(60, abs=5 * 60 / math.sqrt(2 * N))


def test_a_lognormal_distribution_has_its_median_and_p95() -> None:
    """Half of the values below the median, and one in twenty above the 95th percentile, within five deviations."""
    drawn = lengths(distribution="lognormal", median=60, p95=300)
    for value, share in ((60, 0.5), (300, 0.95)):
        below = sum(length < value for length in drawn)
        assert abs(below - N * share) < 5 * math.sqrt(N * share * (1 - share))


def test_a_lognormal_distribution_may_be_told_by_mean_and_deviation() -> None:
    """The mean of what is drawn is the one that was asked for."""
    drawn = lengths(distribution="lognormal", mean=100, sd=50)
    assert fmean(drawn) == pytest.approx(100, abs=5 * 50 / math.sqrt(N))


def test_an_exponential_distribution_has_its_mean_and_quartiles() -> None:
    """A quarter of the values is below mean x ln(4/3)."""
    drawn = lengths(distribution="exponential", mean=100)
    assert fmean(drawn) == pytest.approx(100, abs=5 * 100 / math.sqrt(N))
    low, middle, high = quantiles(drawn, n=4)
    assert [low, middle, high] == pytest.approx([100 * math.log(4 / k) for k in (3, 2, 1)], rel=0.06)


def test_a_curve_is_clipped_at_its_ends() -> None:
    """What would be shorter or longer has the length of the end; without ends, what the farm takes."""
    drawn = lengths(distribution="normal", mean=60, sd=60, min=30, max="90")
    assert (30, 90) == (drawn[0], drawn[-1])
    drawn = lengths(distribution="lognormal", median=60, p95="20h")
    assert (0.1, 86_400) == (drawn[0], drawn[-1])


def test_a_bitrate_of_a_curve_is_one_that_its_scenario_takes() -> None:
    """Each scenario has its own limits; every job is within those of its own."""
    wide = {"distribution": "lognormal", "median": "3M", "p95": "900M"}
    plan = LaunchPlan(count=3000, seed=1, kinds=mix((read_kind({"bitrate": Said(wide, "here")}),)))
    rates = [(CATALOGUE[job.scenario].bitrate_limits, job.parameters.bitrate) for job in plan_jobs(plan)]
    assert all(isinstance(rate, int) and low <= rate <= high for (low, high), rate in rates)
    assert any(rate == high for (_, high), rate in rates)
    assert any(rate == low for (low, _), rate in rates)


def test_the_same_shares_give_the_same_values() -> None:
    """A table of fixed values: a new version of Python or of us must not change what a seed draws."""
    table = {"distribution": "lognormal", "median": 60, "p95": 300}
    kind = read_kind({"duration": Said(table, "here")})
    assert kind.duration is not None
    assert [5.9, 60.0, 300.0, 0.1] == [kind.duration.at(share, 2) for share in (0.00889, 0.5, 0.95, 0.0)]
