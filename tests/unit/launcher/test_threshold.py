"""Thresholds: what can be written, what is refused with what to write instead, and what passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.figures import LaunchFigures, RanJob, RanResult, SubmitFigures
from reelmill.launcher.measured import RanQuality
from reelmill.launcher.sample import Sample
from reelmill.launcher.threshold import describe_verdicts, judge, parse_threshold, parse_thresholds

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def ran(status: str = "completed", *, wait: float = 1.0, run: float = 2.0, **fields: Any) -> RanJob:
    """A job that was submitted at BEGIN, waited and ran."""
    started = BEGIN + timedelta(seconds=wait)
    own: dict[str, Any] = {
        "sequence_number": 1,
        "scenario": "480p30-h264",
        "queue": "default",
        "priority": "medium",
        "engine": "auto",
        "attempt": 1,
        "created_at": BEGIN,
        "started_at": started,
        "completed_at": started + timedelta(seconds=run),
        "speed": 4.0,
    }
    return RanJob(status=status, **own | fields)


def figures(*jobs: RanJob, submit: SubmitFigures | None = None) -> LaunchFigures:
    found = LaunchFigures(submit)
    for job in jobs:
        found.add(job)
    return found


@pytest.mark.parametrize(
    ("text", "limit", "unit"),
    [
        ("failed<1%", 0.01, "share"),
        (" failed <= 3 ", 3, "jobs"),
        ("completed==100%", 1, "share"),
        ("p95(queue_wait)<5m", 300, "seconds"),
        ("avg( run_time ) >= 250ms", 0.25, "seconds"),
        ("min(speed)>1.5x", 1.5, "speed"),
        ("wall<10m", 600, "seconds"),
        ("throughput>300/min", 5, "per_second"),
        ("min(vmaf_p5)>=90", 90, "score"),
        ("throughput>.5", 0.5, "per_second"),
        ("p99(submit_latency)<2", 2, "seconds"),
        ("retried!=0", 0, "jobs"),
    ],
)
def test_what_people_write_is_understood(text: str, limit: float, unit: str) -> None:
    """Counts, shares, durations, speeds and rates, with their units."""
    found = parse_threshold(text)
    assert (text.strip(), limit, unit) == (found.text, found.limit, found.unit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a threshold; write it like 'failed<1%'"),
        ("failed", "is not a threshold"),
        ("fialed<1%", "did you mean 'failed'?"),
        ("p95(queue)<5m", "did you mean 'queue_wait'?"),
        ("p96(queue_wait)<5m", "unknown statistic 'p96'"),
        ("p95<5m", "p95 of what? Write it like p95(queue_wait)"),
        ("queue_wait<5m", "write it like p95(queue_wait)"),
        ("p95(wall)<5m", "wall is one value; write wall"),
        ("failed=3", "did you mean '=='?"),
        ("failed<1.5", "'1.5' is not a number of jobs"),
        ("failed<-1", "is not a number of jobs"),
        ("failed<101%", "is more than all jobs"),
        ("failed<5m", "is not a number of jobs"),
        ("wall<1%", "is not a duration"),
        ("wall<", "is not a duration"),
        ("avg(speed)>5m", "is not a speed"),
        ("throughput>5/d", "write it like 5/s"),
        ("failed<1% completed>3", "is not a number of jobs"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    """One clear line that names the option, what was typed, and what to write instead."""
    with pytest.raises(InvalidField, match=r"^--threshold: ") as caught:
        parse_threshold(text)
    assert said in str(caught.value)


def judged(text: str, found: LaunchFigures) -> tuple[bool, str]:
    [verdict] = judge(parse_thresholds([text]), found)
    return verdict.passed, verdict.found


@pytest.mark.parametrize(
    ("text", "passed", "found"),
    [
        ("failed<50%", False, "50% (2 of 4)"),
        ("failed<=50%", True, "50% (2 of 4)"),
        ("timed_out==1", True, "1"),
        ("completed==100%", False, "50% (2 of 4)"),
        ("retried<1", False, "1"),
        ("max(queue_wait)<5", True, "4 s"),
        ("p50(queue_wait)<2", False, "2 s"),
        ("p50(queue_wait)<=2", True, "2 s"),
        ("avg(run_time)==2", True, "2 s"),
        ("p99(speed)>=4x", True, "4x"),
        ("wall<5s", True, "4.9 s"),
        ("throughput>0.3/s", True, "0.41 jobs/s"),
    ],
)
def test_a_launch_is_judged_by_its_figures(text: str, passed: bool, found: str) -> None:
    """Four jobs that waited 1, 2, 3 and 4 s and ran 2 s each: two completed, one failed, one timed out."""
    done = figures(
        ran(wait=1), ran(wait=2, attempt=2), ran("failed", wait=3), ran("timed_out", wait=4, run=1.9, speed=None)
    )
    assert (passed, found) == judged(text, done)


def test_all_completed_is_exactly_all() -> None:
    """A hundred percent of seven jobs is seven of them, whatever floating point says."""
    assert (True, "100% (7 of 7)") == judged("completed==100%", figures(*[ran()] * 7))


@pytest.mark.parametrize("text", ["p95(queue_wait)<5m", "avg(speed)>0", "wall<1h", "throughput<1", "failed<1%"])
def test_without_data_a_threshold_is_missed(text: str) -> None:
    """No job ran: nothing is proven, and the verdict says so."""
    assert (False, "no data") == judged(text, figures())


def test_before_the_end_a_threshold_is_missed() -> None:
    """A job that still runs may fail yet."""
    done = figures(ran(), ran("running", completed_at=None))
    [verdict] = judge(parse_thresholds(["failed<1%"]), done)
    assert (False, "1 of 2 jobs have not ended") == (verdict.passed, verdict.reason)


def test_only_the_launcher_knows_how_it_submitted() -> None:
    """Without its figures the latency and the rejected are unknown, and said to be; with them they are judged."""
    texts = ["rejected==0", "p95(submit_latency)<1s"]
    unheard = judge(parse_thresholds(texts), figures(ran()))
    assert [(False, "unknown")] * 2 == [(verdict.passed, verdict.found) for verdict in unheard]
    known = figures(ran(), submit=SubmitFigures(latency=Sample([0.1, 0.2]), rejected=0))
    assert [True, True] == [verdict.passed for verdict in judge(parse_thresholds(texts), known)]


def test_the_verdicts_are_lines_below_each_other() -> None:
    """Passed or missed first, so that the eye finds it; the same threshold twice is one."""
    thresholds = parse_thresholds(["failed<1%", "failed<1%", "p95(queue_wait)<500ms"])
    assert [
        "passed  failed<1%              0% (0 of 1)",
        "MISSED  p95(queue_wait)<500ms  1 s",
    ] == describe_verdicts(judge(thresholds, figures(ran())))


def test_quality_is_judged_over_the_outputs_and_only_when_all_were_measured() -> None:
    """An output without a figure might be the worst of them."""

    def measured(**quality: Any) -> RanJob:
        spent: dict[str, Any] = {"size_bytes": 1, "duration": 1.0, "encode_seconds": 1.0, "cpu_seconds": 1.0}
        return ran(result=RanResult(**spent, quality=RanQuality("vmaf", **quality)))

    good, bad = measured(mean=95.0, p5=90.0, worst=80.0), measured(mean=93.0, p5=85.0, worst=60.0)
    rules = parse_thresholds(["min(vmaf_p5)>=85", "avg(vmaf)>94", "min(vmaf_worst)>=70", "min(ssim)>0.9"])
    assert [True, False, False, False] == [verdict.passed for verdict in judge(rules, figures(good, bad))]
    assert [85.0, 94.0, 60.0, None] == [verdict.value for verdict in judge(rules, figures(good, bad))]
    missing = judge(rules[:1], figures(good, measured()))
    assert (False, None) == (missing[0].passed, missing[0].value)
    assert "1 of the outputs" in (missing[0].reason or "")
