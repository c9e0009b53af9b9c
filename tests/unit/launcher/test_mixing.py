"""`--mix`: names with weights, and the names tell what is mixed."""

from __future__ import annotations

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.mixing import read_mixes
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import total_plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("live=1,default=7,batch=2", {"queue": {"live": 1, "default": 7, "batch": 2}}),
        (" high = 0.5 , low=1e1", {"priority": {"high": 0.5, "low": 10}}),
        ("ffmpeg=1", {"engine": {"ffmpeg": 1}}),
        ("2160p60-H264=3,480p30-h264=1", {"scenario": {"2160p60-H264": 3, "480p30-h264": 1}}),
        ("news=1,batch=2", {"kind": {"news": 1, "batch": 2}}),
    ],
)
def test_the_names_tell_what_is_mixed(text: str, expected: dict[str, dict[str, float]]) -> None:
    """Queues, priorities, engines, scenarios in any spelling, or the kinds of a workload file."""
    assert expected == read_mixes([text], ["news", "batch"] if "news" in text else [])


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        (["live=1,defualt=7"], "unknown name 'defualt'; did you mean 'default'?"),
        (["live=1,high=7"], "'live' is a queue and 'high' a priority; write one --mix for each"),
        (["live=0,batch=1"], "live: 0 is no weight; it must be above 0"),
        (["live=-1"], "-1 is no weight"),
        (["live=nan"], "not a finite number"),
        (["live=inf"], "not a finite number"),
        (["live=many"], "'many' is not a weight for 'live'"),
        (["live=1,live=2"], "'live' is there twice"),
        (["live=1", "batch=2"], "gives queues twice; write them in one --mix"),
        (["live"], "'live' is not NAME=WEIGHT"),
        ([""], "write names and weights, such as 'live=1,default=7,batch=2'"),
        (["live=1,"], "'' is not NAME=WEIGHT"),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(texts: list[str], part: str) -> None:
    """One sentence, and what to write instead."""
    with pytest.raises(InvalidField) as caught:
        read_mixes(texts)
    assert str(caught.value).startswith("--mix: ")
    assert part in str(caught.value)


def test_a_name_of_two_sorts_is_refused() -> None:
    """A kind that is called like a queue cannot be told from it."""
    with pytest.raises(InvalidField, match="'live' is a queue, and a kind of the workload file too; rename the kind"):
        read_mixes(["live=1"], ["live"])


def test_a_mix_is_drawn_by_its_weights() -> None:
    """Of 10,000 jobs a tenth, seven tenths and a fifth, within five standard deviations; what is not named never."""
    totals = total_plan(read_plan(count="10k", seed=3, mixes=["live=1,default=7,batch=2", "high=1,low=3"]))
    for counts, shares in (
        (totals.queues, {"live": 0.1, "default": 0.7, "batch": 0.2}),
        (totals.priorities, {"high": 0.25, "low": 0.75}),
    ):
        assert shares.keys() == counts.keys()
        for name, share in shares.items():
            assert abs(counts[name] - 10_000 * share) < 5 * (10_000 * share * (1 - share)) ** 0.5


def test_a_mix_beside_the_option_of_the_same_thing_is_refused() -> None:
    """Nobody can say which was meant."""
    with pytest.raises(InvalidField, match="--mix: and --queue both say"):
        read_plan(queue="live", mixes=["live=1,batch=2"])
