"""When a launch will be done: a band that holds the truth, and silence while nothing is known."""

from __future__ import annotations

import random

import pytest

from reelmill.launcher.answers import AskedLength, OpenJob
from reelmill.launcher.eta import Band, Eta, format_band
from reelmill.launcher.work_left import weigh


def test_nothing_is_said_while_nothing_is_known() -> None:
    """At first, within seconds, and while nothing gets done there is no band."""
    eta = Eta()
    assert eta.band() is None
    for second in range(5):
        eta.note(second, 100 - second)
    assert eta.band() is None
    still = Eta()
    for second in range(100):
        still.note(second, 100)
    assert (None, 99, 0.0) == (still.band(), still.stalled_seconds, still.per_second)


def test_a_steady_pace_gives_a_narrow_band() -> None:
    """One job a second, 100 left: a little less and a little more than 100 s."""
    eta = Eta()
    for second in range(61):
        eta.note(second, 160 - second)
    band = eta.band()
    assert band is not None
    assert 90 < band.low < 100 < band.high < 112
    assert 1.0 == pytest.approx(eta.per_second)


def test_an_uneven_pace_gives_a_wide_band_that_holds_the_end() -> None:
    """Of 200 launches whose jobs end at random, the true end lies in the band nearly always."""
    draw, held, width = random.Random(5), 0, 0.0
    for _ in range(200):
        eta, left, now = Eta(), 400, 0.0
        while left > 200:
            now += draw.expovariate(1.0)
            left -= 1
            eta.note(now, left)
        truth = sum(draw.expovariate(1.0) for _ in range(left))
        band = eta.band()
        assert band is not None
        held += band.low <= truth <= band.high
        width += (band.high - band.low) / truth / 200
    assert held >= 170
    assert 0.15 < width < 0.7


def test_only_the_last_minutes_count() -> None:
    """A farm that grew ten times as fast an hour ago is judged by what it does now."""
    eta = Eta()
    for second in range(3600):
        eta.note(second, 100_000 - second)
    for second in range(3600, 4300):
        eta.note(second, 96_400 - 10 * (second - 3600))
    band = eta.band()
    assert band is not None
    assert band.low < 89_400 / 10 < band.high < 10_000


def test_more_jobs_are_a_new_beginning() -> None:
    """When jobs are added, what was seen before says nothing."""
    eta = Eta()
    for second in range(60):
        eta.note(second, 100 - second)
    eta.note(60, 1000)
    assert eta.band() is None
    for second in range(1, 11):
        eta.note(60 + second, 1000 - 10 * second)
    band = eta.band()
    assert band is not None
    assert band.low < 90 < band.high


@pytest.mark.parametrize(
    ("band", "text"),
    [
        (Band(0.2, 3.1), "less than 4 s"),
        (Band(20.3, 34.8), "20 to 35 s"),
        (Band(61, 95), "61 to 95 s"),
        (Band(725, 1110), "12 to 19 min"),
        (Band(721, 719.9), "about 12 min"),
        (Band(9000, 13_000), "2.5 to 4 h"),
        (Band(41, 8000), "41 s to 2.5 h"),
        (Band(5 * 86_400, 6.2 * 86_400), "5 to 6.5 d"),
    ],
)
def test_a_band_reads_well(band: Band, text: str) -> None:
    """One unit for both ends, rounded outwards."""
    assert text == format_band(band)


def test_work_is_weighed_by_cost_and_media() -> None:
    """A 4K job of 8 units is as much as eight small ones; what is done is not left; no length is the usual one."""

    def job(scenario: str, seconds: float | None, progress: float = 0) -> OpenJob:
        return OpenJob(scenario, AskedLength(seconds), progress, None)

    assert 80 == weigh([job("4K30-h264", 10)])
    assert 40 == weigh([job("4K30-h264", 10, progress=50)])
    assert 20 == weigh([job("480p30-h264", 10), job("480p30-h264", None)])
    assert 1 == weigh([job("of-another-version", None)])
