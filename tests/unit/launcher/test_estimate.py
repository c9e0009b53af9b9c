"""What a plan will cost: from what such jobs cost lately, and silence about what is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reelmill.domain.capability import Capabilities
from reelmill.launcher.answers import NodeState
from reelmill.launcher.estimate import (
    Estimate,
    History,
    PastJob,
    describe_estimate,
    estimate,
    make_estimate,
    make_history,
)
from reelmill.launcher.figures import RanResult
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import total_plan
from reelmill.launcher.totals import PlanTotals

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def past(*encode_seconds: float, media: float = 10.0) -> History:
    """Jobs of 10 s of media that took two CPUs while they were encoded, and half a second beside that."""
    return make_history(
        [
            PastJob(
                BEGIN,
                BEGIN + timedelta(seconds=encode + 0.5),
                RanResult(size_bytes=1_000_000, duration=media, encode_seconds=encode, cpu_seconds=2 * encode),
            )
            for encode in encode_seconds
        ]
    )


def node(units: int = 2, status: str = "online", trouble: str | None = None) -> NodeState:
    return NodeState(name="mill", status=status, capabilities=Capabilities(units, {}), trouble=trouble)


def totals(count: int = 100, **plan: Any) -> PlanTotals:
    asked: dict[str, Any] = {"scenario": "480p30-h264", "duration": "10"} | plan
    return total_plan(read_plan(count=str(count), **asked))


def test_the_past_is_the_measure() -> None:
    """100 jobs of 10 s, 5 s each on one of two units: 1,000 CPU seconds, 100 MB, 275 s."""
    found = make_estimate(totals(), {"480p30-h264": past(5, 5, 5)}, [node()], {})
    assert (1000, 1000) == pytest.approx(found.cpu_seconds)
    assert (1e8, 1e8) == pytest.approx(found.size)
    assert (275, 275) == pytest.approx(found.done_in)


def test_an_uneven_past_is_a_band() -> None:
    """From the fast ones to the slow ones of the newest jobs."""
    found = make_estimate(totals(), {"480p30-h264": past(*range(1, 11))}, [node()], {})
    assert found.done_in is not None
    assert (75, 475) == pytest.approx(found.done_in)


def test_a_big_job_holds_a_small_node_alone() -> None:
    """4K costs eight units; on a node of two it takes both, so its jobs run one after the other."""
    found = make_estimate(totals(scenario="4K30-h264"), {"4K30-h264": past(5)}, [node(2)], {})
    assert (550, 550) == pytest.approx(found.done_in)


def test_jobs_that_wait_already_may_go_first() -> None:
    """At worst all of them; those of which nothing is known are counted and said."""
    waiting = {"480p30-h264": 100, "480p30-av1": 7}
    found = make_estimate(totals(), {"480p30-h264": past(5)}, [node()], waiting)
    assert (275, 550) == pytest.approx(found.done_in)
    [line] = [line for line in describe_estimate(found) if line.startswith("done in")]
    assert line.endswith("on 1 node with 2 CPU units, with 107 jobs there already (of 7 nothing is known)")


@pytest.mark.parametrize(
    ("histories", "nodes", "plan", "said"),
    [
        ({}, [node()], {}, "no history yet: this farm has completed no such jobs"),
        ({"480p30-h264": past(5)}, [], {}, "no node takes jobs now"),
        ({"480p30-h264": past(5)}, [node(trouble="its disk is full")], {}, "no node takes jobs now"),
        ({"480p30-h264": past(5)}, [node()], {"scenario": "random", "seed": "7"}, "none yet of "),
        (
            {"480p30-h264": past(5)},
            [node()],
            {"source": "a.mov", "duration": None},
            "the inputs decide how long 480p30-h264 is",
        ),
    ],
)
def test_what_is_not_known_is_said(
    histories: dict[str, History], nodes: list[NodeState], plan: dict[str, Any], said: str
) -> None:
    """No history, no node, an input of unknown length: in words, never as a number."""
    text = "\n".join(describe_estimate(make_estimate(totals(**plan), histories, nodes, {})))
    assert said in text


async def test_without_a_master_the_bitrates_say_how_large() -> None:
    """Offline there is the size at the bitrates that are asked for, and that there is no more to say."""
    found = await estimate(None, totals(bitrate="2M"))
    assert [
        "output    250 MB at the bitrates that are asked for",
        "estimate  without a farm there is no more to say: no master was asked",
    ] == describe_estimate(found)


def test_an_empty_estimate_is_no_error() -> None:
    """Nothing known at all."""
    assert "no node takes jobs now" in "\n".join(describe_estimate(Estimate()))
