"""The report: right figures, whatever stands in a job is harmless, and every form of it can be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from reelmill.errors import InvalidField
from reelmill.launcher.figures import MOST_EXAMPLES, LaunchFigures, RanJob, RanParameters, RanResult
from reelmill.launcher.measured import RanSpending
from reelmill.launcher.report import Report, Subject, encode_report, histogram, make_report, spread, step_of
from reelmill.launcher.report_html import encode_html
from reelmill.launcher.report_junit import encode_junit
from reelmill.launcher.sample import Sample
from reelmill.launcher.threshold import parse_thresholds
from reelmill.launcher.whole_file import WholeFile

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script> \" & \x1b[31m \x00 \ufffe \u202e ]]> {{ 7 * 7 }}"


def ran(number: int = 1, status: str = "completed", **fields: Any) -> RanJob:
    started = BEGIN + timedelta(seconds=number)
    own: dict[str, Any] = {
        "scenario": "480p30-h264",
        "queue": "default",
        "priority": "medium",
        "engine": "auto",
        "parameters": RanParameters(duration=10.0),
        "node_name": "mill",
        "attempt": 1,
        "created_at": BEGIN,
        "started_at": started,
        "completed_at": started + timedelta(seconds=2),
    }
    if status == "completed":
        own |= {"speed": 5.0, "result": RanResult(size_bytes=1000, duration=10, encode_seconds=2, cpu_seconds=3)}
    else:
        own |= {"failure_reason": "input_error", "error_code": "input_missing", "error": "It is not there."}
    return RanJob(sequence_number=number, status=status, **own | fields)


def report(*jobs: RanJob, thresholds: tuple[str, ...] = (), **subject: Any) -> Report:
    figures = LaunchFigures()
    for job in jobs:
        figures.add(job)
    about: dict[str, Any] = {"launch_id": "the-launch", "created_at": BEGIN} | subject
    return make_report(Subject(**about), figures, parse_thresholds(thresholds), version="1", now=BEGIN)


def test_the_json_has_the_figures() -> None:
    """Counts, times, sizes and shares are those of the jobs."""
    found = json.loads(
        encode_report(report(ran(1), ran(2), ran(3, "failed"), name="nightly", command="reelmill launch"))
    )
    assert ("reelmill-report/1", "nightly", "reelmill launch", 3, 0) == tuple(
        found[name] for name in ("format", "name", "command", "total", "open")
    )
    assert {"completed": 2, "failed": 1} == found["counts"]
    assert (4.0, 0.5, 20.0, 6.0, 2000) == tuple(
        found[name] for name in ("wall_seconds", "jobs_per_second", "media_seconds", "cpu_seconds", "size_bytes")
    )
    assert (1.0, 2.0, 3.0) == tuple(found["queue_wait"][name] for name in ("min", "p50", "max"))
    assert [2, 1] == [sum(found["throughput"][name]) for name in ("completed", "failed")]
    assert [{"name": "mill", "completed": 2, "failed": 1, "busy_seconds": 4.0}] == found["nodes"]
    [failure] = found["failures"]
    assert ("input_missing", 1, 3) == (failure["code"], failure["count"], failure["examples"][0]["job"])


class Page(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else() -> None:
    """No script, no address of anything: it opens without a network."""
    text = encode_html(report(*map(ran, range(1, 40)), thresholds=("failed<1%",))).decode()
    page = Page(text)
    assert ([], False, False) == (page.addresses, "script" in page.tags, "url(" in text)
    assert page.tags.count("svg") == 3
    assert page.tags.count("h1") == 1
    assert "all passed" in page.text


def test_what_stands_in_a_job_is_only_text() -> None:
    """A name, a label, an error, a node, a scenario, a command: none becomes a tag or reaches a terminal's controls."""
    bad = ran(
        2, "failed", scenario=HOSTILE, node_name=HOSTILE, error=HOSTILE, error_code=HOSTILE, labels={HOSTILE: HOSTILE}
    )
    text = encode_html(report(ran(1), bad, name=HOSTILE, command=HOSTILE, launch_id=HOSTILE)).decode()
    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert('x')</script>" in page.text
    assert {"\x1b", "\x00", "\u202e"}.isdisjoint(text)
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.parametrize("jobs", [(), (ran(1, "queued", started_at=None, completed_at=None),), (ran(1, "failed"),)])
def test_a_launch_of_nothing_has_a_report(jobs: tuple[RanJob, ...]) -> None:
    """No job, none that ran, none that completed: each form of the report says what there is."""
    made = report(*jobs, thresholds=("p95(queue_wait)<5m",))
    assert "p95(queue_wait)" in Page(encode_html(made).decode()).text
    assert len(jobs) == json.loads(encode_report(made))["total"]
    assert "testsuite" == ET.fromstring(encode_junit(made)).tag


def test_an_unfinished_launch_says_so() -> None:
    """The page warns that the figures are those of now, and no threshold has passed."""
    made = report(ran(1), ran(2, "running", completed_at=None), thresholds=("failed<1%",))
    assert "Not over yet" in Page(encode_html(made).decode()).text
    assert made.passed is False


def test_junit_names_what_failed() -> None:
    """Without thresholds a scenario with failed jobs fails, with examples, and one that was canceled is skipped."""
    jobs = (ran(1), ran(2, "failed", error=HOSTILE), ran(3, "canceled", scenario="720p30-h264"))
    suite = ET.fromstring(encode_junit(report(*jobs, name=HOSTILE)))
    assert ("2", "1", "1") == (suite.get("tests"), suite.get("failures"), suite.get("skipped"))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "1 of 2 jobs failed" == failure.get("message")
    assert "job 2 on mill: <script>" in (failure.text or "")


def test_with_thresholds_junit_fails_by_them_alone() -> None:
    """A failed job that the thresholds allow fails no build; a missed threshold does, with what was found."""
    jobs = (ran(1), ran(2, "failed"))
    suite = ET.fromstring(encode_junit(report(*jobs, thresholds=("failed<60%", "failed<1%"))))
    failures = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    missed = failures.pop("failed<1%")
    assert missed is not None
    assert "found 50% (1 of 2)" == missed.get("message")
    assert {"failed<60%": None, "480p30-h264": None} == failures


def test_examples_and_kinds_are_bounded() -> None:
    """However many jobs fail, and in however many ways, a report names a few of each."""
    jobs = [ran(number, "failed", error_code=f"code-{number % 700}", error="x" * 10_000) for number in range(1, 3000)]
    made = report(*jobs, *[ran(number, node_name=f"node-{number}") for number in range(3000, 3700)])
    assert (501, 501) == (len(made.failures), len(made.nodes))
    assert 2999 == sum(kind.count for kind in made.failures)
    assert max(len(kind.examples) for kind in made.failures) == MOST_EXAMPLES
    assert len(encode_report(made)) < 2_000_000


@pytest.mark.parametrize(
    ("span", "bins", "step"),
    [(0, 60, 0.001), (0.5, 60, 0.01), (50, 60, 1), (61, 60, 2), (700, 60, 15), (86_400 * 100, 60, 172_800)],
)
def test_bins_have_round_widths(span: float, bins: int, step: float) -> None:
    """As people count: 1, 2, 5, then as clocks do."""
    assert step == pytest.approx(step_of(span, bins))


def test_a_histogram_holds_every_value() -> None:
    """None is lost; a few far away come together in a last bin instead of squeezing the others."""
    values = [float(value % 30) for value in range(1000)] + [9000.0]
    found = histogram(Sample(values))
    assert found is not None
    assert (1001, 1) == (sum(found.counts) + found.above, found.above)
    assert 15 == len(found.counts)
    for few in ([0.0], [5.0, 5.0], [0.1, 1000.0]):
        one = histogram(Sample(few))
        assert one is not None
        assert len(few) == sum(one.counts) + one.above
    assert histogram(Sample()) is None


def test_a_spread_is_nearest_rank() -> None:
    """Of 1 to 10 the median is 5 and the 95th percentile 10."""
    found = spread(Sample(map(float, range(1, 11))))
    assert found is not None
    assert (1, 1, 5, 9, 10, 10, 5.5) == (found.min, found.p10, found.p50, found.p90, found.p95, found.max, found.mean)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    """What cannot be written is known before the work; what fails leaves the old file and nothing beside it."""
    place = tmp_path / "report.html"
    place.write_text("old")
    with pytest.raises(ZeroDivisionError), WholeFile(place):
        _ = 1 / 0
    assert ("old", [place]) == (place.read_text(), list(tmp_path.iterdir()))
    with WholeFile(place) as file:
        file.write(b"new")
    assert ("new", [place]) == (place.read_text(), list(tmp_path.iterdir()))
    for wrong in (tmp_path, tmp_path / "nowhere" / "report.html"):
        with pytest.raises(InvalidField, match="--output"):
            WholeFile(wrong)


def test_energy_and_cost_are_totals_of_what_is_known() -> None:
    """Jobs of which nothing is known add nothing, and how many are known is said; with none there is no number."""

    def spent(number: int, **known: Any) -> RanJob:
        result = RanResult(size_bytes=1000, duration=10, encode_seconds=2, cpu_seconds=3, **known)
        return ran(number, result=result)

    known = spent(1, energy_joules=5.5, energy_source="rapl", cost=0.25, currency="EUR")
    other = spent(2, energy_joules=4.5, energy_source="model", cost=0.5, currency="EUR")
    found = report(known, other, spent(3)).spent
    assert (10.0, {"rapl": 1, "model": 1}) == (found.energy_joules, found.energy_jobs)
    assert ({"EUR": 0.75}, 2) == (found.cost, found.cost_jobs)
    assert (None, {}) == (report(spent(1)).spent.energy_joules, report(spent(1)).spent.cost)


def test_what_came_to_nothing_is_told_apart_from_what_was_completed() -> None:
    """Also of a job that completed in the end; attempts of which nothing is known are counted, and add no number."""
    known = RanSpending(2.5, "model", 1.5, 0.5, "EUR")
    times: dict[str, Any] = {"size_bytes": 1, "duration": 1, "encode_seconds": 1, "cpu_seconds": 1}
    completed = RanResult(**times, energy_joules=7, energy_source="rapl")
    found = report(
        ran(1, result=completed, lost_attempts=(known, RanSpending())),
        ran(2, status="failed", lost_attempts=(known,)),
        ran(3, status="canceled"),
    )
    assert (7.0, {"rapl": 1}, {}) == (found.spent.energy_joules, found.spent.energy_jobs, found.spent.cost)
    lost = found.lost
    assert (3, 1, 5.0, {"model": 2}) == (lost.attempts, lost.unmeasured, lost.energy_joules, lost.energy_attempts)
    assert ({"EUR": 1.0}, 2) == (lost.cost, lost.cost_attempts)
    assert (3.0, 2, None, 0) == (lost.gpu_joules, lost.gpu_attempts, found.spent.gpu_joules, found.spent.gpu_jobs)
    nothing = report(ran(1, lost_attempts=(RanSpending(),))).lost
    assert (1, 1, None, {}) == (nothing.attempts, nothing.unmeasured, nothing.energy_joules, nothing.cost)
