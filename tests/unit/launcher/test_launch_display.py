"""What a launch says: a bar on a terminal, lines elsewhere, and numbers that never divide by zero."""

from __future__ import annotations

import io
import re
from array import array

import pytest

from reelmill.launcher.options import LaunchOptions, read_plan
from reelmill.launcher.progress import (
    Pace,
    PlainDisplay,
    TerminalDisplay,
    format_ms,
    format_rate,
    format_seconds,
    make_display,
)
from reelmill.launcher.submit import Submission
from reelmill.launcher.summary import describe_options, describe_submission, percentile


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Hand:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_line_every_few_seconds() -> None:
    """A log gets plain lines, not one for each batch, and no control characters."""
    out, clock = io.StringIO(), Hand()
    with PlainDisplay(out, every=3, clock=clock).bar("submitting", 1000) as bar:
        for second in range(10):
            clock.now = float(second)
            bar.show(second * 100, "2 rejected" if second == 9 else "")
    assert out.getvalue().splitlines() == [
        "submitting 300 of 1,000, 100 jobs/s, 7 s left",
        "submitting 600 of 1,000, 100 jobs/s, 4 s left",
        "submitting 900 of 1,000, 100 jobs/s, 1 s left, 2 rejected",
    ]


@pytest.mark.parametrize("width", [40, 120, 200])
def test_the_bar_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """No line is wider than the terminal; the count and the time left are in one, the counts by status below it."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    detail = "4 running, 400 queued, 90 retrying, 6 failed, 1 canceled"
    with TerminalDisplay(out, width=width).bar("transcoding", 1000) as bar:
        bar.show(500, detail, "done in 12 to 19 min")
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", out.getvalue())]
    assert max(len(line) for line in lines) <= width
    assert any("50% 500/1,000, done in 12 to 19 min" in line for line in lines)
    shown = [line.rstrip() for line in lines if line.startswith("4 running")]
    assert shown
    assert all(line == detail if width > len(detail) else line.endswith("…") for line in shown)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a terminal gets no colour."""
    texts: list[str] = []
    for value in (None, "1"):
        if value:
            monkeypatch.setenv("NO_COLOR", value)
        else:
            monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        out = Terminal()
        TerminalDisplay(out, width=80).say("careful", "warning")
        texts.append(out.getvalue())
    assert re.search(r"\x1b\[[0-9;]*3\d", texts[0])
    assert not re.search(r"\x1b\[[0-9;]*3\d", texts[1])
    assert "warning: " in texts[1]


def test_the_display_suits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe and a terminal that cannot move its cursor get lines."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_display(stream=Terminal()), TerminalDisplay)
    assert isinstance(make_display(stream=io.StringIO()), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(stream=Terminal()), PlainDisplay)


def test_details_are_said_only_when_asked_for() -> None:
    for verbose in (False, True):
        out = io.StringIO()
        PlainDisplay(out, verbose=verbose).say("batch 1", "debug")
        assert ("batch 1\n" if verbose else "") == out.getvalue()


def test_a_launch_of_no_time_has_a_summary() -> None:
    """Nothing submitted in no time: no rate, no percentile, no division by zero."""
    options = LaunchOptions(plan=read_plan())
    text = "\n".join(describe_submission(options, Submission()))
    assert "submitted  0 of 1,000" in text
    clock = Hand()
    assert Pace(0, clock).describe(0) == ""
    assert Pace(10, clock).describe(5) == ""


def test_the_summary_tells_all(tmp_path: object) -> None:
    """Totals, duration, rate, and the percentiles of the submit latency."""
    latencies = array("d", [i / 1000 for i in range(1, 101)])
    submission = Submission(accepted=90, rejected=10, seconds=2.0, latencies=latencies, first_error="no such file")
    options = LaunchOptions(plan=read_plan(count="100"), launch_id="the-id")
    assert describe_submission(options, submission) == [
        "launch       the-id",
        "submitted    100 of 100",
        "accepted     90",
        "rejected     10",
        "duration     2 s",
        "rate         50 jobs/s",
        "latency      p50 50 ms, p95 95 ms, p99 99 ms",
        "first error  no such file",
    ]


def test_the_configuration_is_shown_with_its_seed() -> None:
    """What was drawn can be drawn again."""
    options = LaunchOptions(plan=read_plan(seed=42, scenario="4k60-h264", duration="2", bitrate="5M"), name="nightly")
    text = "\n".join(describe_options(options, "http://x", None))
    for part in ("42", "4K60-h264", "2 s", "5 Mbit/s", "nightly", "http://x"):
        assert part in text


def test_numbers_are_readable() -> None:
    assert [format_seconds(s) for s in (0.21, 12, 200, 7500)] == ["0.21 s", "12 s", "3 min 20 s", "2 h 05 min"]
    assert [format_rate(r) for r in (1234, 0.5)] == ["1,234 jobs/s", "0.5 jobs/s"]
    assert [format_ms(s) for s in (0.012, 1.5)] == ["12 ms", "1.5 s"]
    assert [percentile(range(1, 11), share) for share in (0, 0.5, 1)] == [1, 5, 10]
