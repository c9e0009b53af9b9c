"""The built-in catalogue: twenty names, their costs, and how they are found."""

from __future__ import annotations

import pytest

from reelmill.domain.scenario import CATALOGUE, find_scenario
from reelmill.errors import NotFound

COSTS = {  # the design: 480p 1, 720p 2, 1080p 4, 4K 8; h265 and vp9 x1.5, av1 x2, rounded up
    "4K60-h264": 8,
    "4K30-h264": 8,
    "1080p60-h264": 4,
    "1080p30-h264": 4,
    "720p60-h264": 2,
    "720p30-h264": 2,
    "480p60-h264": 1,
    "480p30-h264": 1,
    "4K60-h265": 12,
    "4K30-h265": 12,
    "1080p60-h265": 6,
    "1080p30-h265": 6,
    "720p60-h265": 3,
    "720p30-h265": 3,
    "480p60-h265": 2,
    "480p30-h265": 2,
    "1080p60-vp9": 6,
    "720p30-vp9": 3,
    "480p30-av1": 2,
    "1080p30-av1": 8,
}


def test_the_catalogue_has_exactly_these_twenty_scenarios_at_these_costs() -> None:
    """Adding, dropping or renaming one is a change of the contract, and so is its cost."""
    assert 20 == len(COSTS)
    assert COSTS == {name: scenario.cost for name, scenario in CATALOGUE.items()}


@pytest.mark.parametrize("name", COSTS)
def test_a_scenario_is_found_in_any_case_and_with_2160p_for_4k(name: str) -> None:
    """All spellings lead to the same scenario, which says its name the one way."""
    for spelling in (name, name.lower(), name.upper(), name.replace("4K", "2160p"), name.replace("4K", "2160P")):
        assert name == find_scenario(spelling).name


@pytest.mark.parametrize("name", COSTS)
def test_a_name_says_what_the_scenario_encodes(name: str) -> None:
    """Size, rate and codec are those of the name, and the default bitrate is one that is accepted."""
    scenario = CATALOGUE[name]
    size, codec = name.split("-")
    heights = {"4K": 2160, "1080p": 1080, "720p": 720, "480p": 480}

    assert codec == scenario.codec
    assert size == next(word for word, high in heights.items() if high == scenario.height) + str(scenario.fps)
    low, high = scenario.bitrate_limits
    assert low < scenario.bitrate_low <= scenario.bitrate_default <= scenario.bitrate_high < high


@pytest.mark.parametrize("name", ["", "4K", "random", "1080p25-h264", "1080p60-h264\n", "4K60-vp9", "İ"])
def test_another_name_is_not_found(name: str) -> None:
    """`random` is the launcher's word and no scenario."""
    with pytest.raises(NotFound, match="unknown scenario"):
        find_scenario(name)


def test_a_near_miss_is_answered_with_what_was_meant() -> None:
    """A typo costs one look, not a search."""
    with pytest.raises(NotFound, match="did you mean '1080p60-h264'"):
        find_scenario("1080p60h264")
