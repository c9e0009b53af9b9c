"""Open-loop arrivals: when each job is due."""

from __future__ import annotations

import statistics
from itertools import islice, pairwise

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.arrival import Arrival, arrival_times, read_arrival


def times(arrival: Arrival, count: int, seed: int = 1) -> list[float]:
    return list(islice(arrival_times(arrival, seed), count))


@pytest.mark.parametrize(
    ("rate", "per_second"), [("200/s", 200), ("200", 200), ("30/min", 0.5), ("1.5k/s", 1500), ("36/h", 0.01)]
)
def test_a_rate_is_read(rate: str, per_second: float) -> None:
    """In jobs a second, a minute or an hour."""
    assert Arrival(per_second, per_second) == read_arrival(rate, None, False)


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        ("0..500/s over 2m", Arrival(0, 500, 120)),
        ("10/s..0.5/s over 30", Arrival(10, 0.5, 30)),
        ("60..120/min in 10s", Arrival(1, 2, 10)),
    ],
)
def test_a_ramp_is_read(ramp: str, expected: Arrival) -> None:
    """From, to, and in what time; one unit counts for both ends."""
    assert expected == read_arrival(None, ramp, False)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("fast", None, False), "--rate: 'fast' is not a rate; write jobs a second, such as 200/s or 30/min"),
        (("-5/s", None, False), "--rate: '-5/s' is not a rate"),
        (("0/s", None, False), "--rate: must be more than 0"),
        (("9999999/s", None, False), "--rate: '9999999/s' is more than 1,000,000 jobs a second"),
        (("5/s", "0..5/s over 1m", False), "--ramp: a ramp ends in its own rate; leave out --rate"),
        ((None, "0..500", False), "--ramp: '0..500' is not a ramp; write it like '0..500/s over 2m'"),
        ((None, "0..5/s over soon", False), "--ramp: 'soon' is not a duration"),
        ((None, "5..0/s over 1m", False), "--ramp: must not end at 0"),
        ((None, None, True), "--poisson: needs a --rate or a --ramp"),
    ],
)
def test_a_mistake_is_named(typed: tuple[str | None, str | None, bool], said: str) -> None:
    """With the option, and how to write it."""
    with pytest.raises(InvalidField) as caught:
        read_arrival(*typed)
    assert str(caught.value).startswith(said)


def test_a_rate_is_kept_to_the_job() -> None:
    """Evenly, from the very beginning."""
    assert [n / 200 for n in range(1000)] == pytest.approx(times(Arrival(200, 200), 1000))


def test_a_ramp_rises_evenly_and_then_holds() -> None:
    """0 to 10/s in 10 s are 50 jobs, 12.5 of them in the first half; then ten a second."""
    found = times(Arrival(0, 10, 10), 100)
    assert 0 == found[0]
    assert 13 == sum(at < 5 for at in found)
    assert 50 == sum(at < 10 for at in found)
    assert 60 == sum(at < 11 for at in found)
    assert found == sorted(found)
    falling = times(Arrival(10, 0.5, 10), 60)
    assert [round(gap, 2) for gap in (falling[1] - falling[0], falling[-1] - falling[-2])] == [0.1, 2.0]


def test_poisson_arrivals_have_the_rate_and_the_spread() -> None:
    """Distances as long on average as the rate says, and as spread as the exponential distribution has them."""
    found = times(Arrival(50, 50, poisson=True), 20_000)
    gaps = [after - before for before, after in pairwise(found)]
    assert 0.02 == pytest.approx(statistics.mean(gaps), rel=0.03)
    assert 0.02 == pytest.approx(statistics.stdev(gaps), rel=0.05)
    assert 0.02 * 0.693 == pytest.approx(statistics.median(gaps), rel=0.05)


def test_a_seed_gives_the_same_arrivals() -> None:
    """And another one others."""
    poisson = Arrival(1, 50, 10, poisson=True)
    assert times(poisson, 100, 7) == times(poisson, 100, 7)
    assert times(poisson, 100, 7) != times(poisson, 100, 8)
