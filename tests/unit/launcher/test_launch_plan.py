"""The plan of a launch: reproducible, and drawn as promised."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.job import PRIORITIES, QUEUES
from reelmill.domain.scenario import CATALOGUE
from reelmill.launcher.distribution import Span, mix
from reelmill.launcher.options import read_plan
from reelmill.launcher.plan import LaunchPlan, plan_jobs, total_plan


def payloads(plan: LaunchPlan) -> bytes:
    return msgspec.json.encode(list(plan_jobs(plan)))


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A launch with a seed can be repeated to the byte."""
    assert payloads(read_plan(seed=7)) == payloads(read_plan(seed="7"))


def test_another_seed_gives_other_jobs() -> None:
    """Seeds are not ignored, and without one each launch is its own."""
    assert payloads(read_plan(seed=7)) != payloads(read_plan(seed=8))
    assert payloads(read_plan()) != payloads(read_plan())


def test_fixing_one_choice_leaves_the_others() -> None:
    """With the same seed, `--queue live` changes the queue and nothing else."""
    free, fixed = (list(plan_jobs(read_plan(seed=1, queue=queue))) for queue in ("mixed", "live"))
    assert [msgspec.structs.replace(job, queue="live") for job in free] == fixed


def test_mixed_choices_come_in_equal_shares() -> None:
    """Of 18,000 jobs every queue, priority and scenario gets its share, within five standard deviations."""
    totals = total_plan(read_plan(count="18k", seed=5))
    for counts, names in (
        (totals.queues, QUEUES),
        (totals.priorities, PRIORITIES),
        (totals.scenarios, tuple(CATALOGUE)),
    ):
        share = 1 / len(names)
        slack = 5 * (18_000 * share * (1 - share)) ** 0.5
        assert set(names) == set(counts)
        assert all(abs(n - 18_000 * share) < slack for n in counts.values())


def test_weights_are_kept() -> None:
    """A weight of zero is never drawn; three times the weight is drawn three times as often."""
    choices = mix(("a", "b", "c"), (1, 0, 3))
    drawn = Counter(choices.at(i / 1000) for i in range(1000))
    assert Counter(a=250, c=750) == drawn


def test_durations_and_bitrates_are_in_their_ranges_and_fill_them() -> None:
    """30 to 300 s, and the usual bitrates of each scenario; both ends are come near to, and the mean is the middle."""
    jobs = list(plan_jobs(read_plan(count="6000", seed=2)))
    seconds = [job.parameters.duration or 0 for job in jobs]
    assert 30 <= min(seconds) < 33
    assert 297 < max(seconds) <= 300
    assert 162 < sum(seconds) / len(seconds) < 168
    for job in jobs:
        scenario = CATALOGUE[job.scenario]
        assert isinstance(job.parameters.bitrate, int)
        assert scenario.bitrate_low <= job.parameters.bitrate <= scenario.bitrate_high


@given(st.floats(0.1, 1e5), st.floats(0, 1e5), st.floats(0, 1), st.integers(0, 3))
def test_a_span_is_never_left(low: float, width: float, share: float, digits: int) -> None:
    """Rounding does not lead out of the range that was asked for."""
    assert low <= Span(low, low + width).at(share, digits) <= low + width


def test_a_single_value_is_kept_exactly() -> None:
    """`--duration 1.234 --bitrate 1234567` is not rounded."""
    [job] = plan_jobs(read_plan(count="1", duration="1.234", bitrate="1234567", scenario="480p30-h264"))
    assert (job.parameters.duration, job.parameters.bitrate) == (1.234, 1_234_567)


def test_jobs_are_made_one_at_a_time() -> None:
    """The first jobs of a plan of a billion are there at once."""
    assert len(list(islice(plan_jobs(read_plan(count="100M")), 3))) == 3


def test_a_plan_is_the_same_after_it_was_written_down() -> None:
    """The ledger keeps it as JSON; what is read back is equal and gives the same jobs."""
    plan = read_plan(count="50", seed=3, bitrate="2M-5M", node_labels=["gpu=yes"], scenario="720p30-h264")
    again = msgspec.json.decode(msgspec.json.encode(plan), type=LaunchPlan)
    assert plan == again
    assert payloads(plan) == payloads(again)


def test_a_large_plan_is_counted_from_a_part() -> None:
    """Ten million jobs are scaled from a part, and marked so; a small plan is counted exactly."""
    large, part = (total_plan(read_plan(count=count, seed=1), most=1000) for count in ("10M", "1k"))
    assert (10_000_000, False) == (large.count, large.is_exact)
    assert (1000, True) == (part.count, part.is_exact)
    assert {name: 10_000 * n for name, n in part.queues.items()} == large.queues
    assert 10_000 * sum(filter(None, part.scenario_seconds.values())) == pytest.approx(large.media_seconds)
