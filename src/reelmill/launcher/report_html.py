"""The report as one HTML page that needs nothing else: no network, no script, no font of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil, floor
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelmill.domain.quantity import format_size
from reelmill.launcher.chart import HEIGHT, LEFT, NARROW, RIGHT, TOP, WIDE, Chart, Steps, bar_chart
from reelmill.launcher.plain_text import showable
from reelmill.launcher.progress import format_ms, format_rate, format_seconds
from reelmill.launcher.report import Histogram, Report, Spread, Throughput, step_of

_TEMPLATES = Path(__file__).parent / "templates"
_STATUS_ORDER = (
    *("completed", "failed", "timed_out", "canceled"),
    *("running", "assigned", "queued", "retrying", "paused"),
)


def encode_html(report: Report) -> bytes:
    """The whole page. All that comes from jobs is escaped, and its control characters are written out."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": format_seconds,
        "ms": format_ms,
        "size": format_size,
        "rate": format_rate,
        "clock": _clock,
        "percent": _percent,
    }
    page = environment.get_template("report.html.j2").render(
        report=report,
        statuses=[(status, report.counts[status]) for status in _STATUS_ORDER if report.counts.get(status)],
        charts=_charts(report),
        fastest=max((one.speed.p90 for one in report.scenarios if one.speed is not None), default=0.0),
        busiest=max((node.completed + node.failed for node in report.nodes), default=0),
        ran=sum(node.completed + node.failed for node in report.nodes),
        frame={"height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP},
    )
    return page.encode()


def _finalize(value: object) -> object:
    return showable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _charts(report: Report) -> dict[str, Chart]:
    charts: dict[str, Chart] = {}
    if report.throughput is not None:
        charts["throughput"] = _draw_throughput(report.throughput)
    if report.wait_histogram is not None:
        charts["wait"] = _draw_histogram("Time in the queue", report.wait_histogram, report.queue_wait)
    if report.run_histogram is not None:
        charts["run"] = _draw_histogram("Time to run", report.run_histogram, report.run_time)
    return charts


def _draw_throughput(found: Throughput) -> Chart:
    series: Mapping[str, list[int]] = {"completed": found.completed}
    if any(found.failed):
        series = {**series, "failed": found.failed}
    return bar_chart(
        "Jobs that ended over time",
        Steps(WIDE, 0.0, found.step, len(found.completed), _write_seconds),
        series,
        ticks=_ticks(0.0, found.step * len(found.completed), 10),
        x_title="time since the first job was accepted",
        y_title=f"jobs per {_write_seconds(found.step)}",
    )


def _draw_histogram(title: str, found: Histogram, spread: Spread | None) -> Chart:
    named = (("median", spread.p50), ("p95", spread.p95)) if spread is not None else ()
    return bar_chart(
        title,
        Steps(NARROW, found.low, found.step, len(found.counts), _write_seconds),
        {"jobs": found.counts},
        ticks=_ticks(found.low, found.low + found.step * len(found.counts), 6),
        x_title=title.lower(),
        y_title="jobs",
        above=found.above,
        marks=[(value, f"{name} {format_seconds(value)}") for name, value in named],
    )


def _ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round moments between the two, all in one unit."""
    step = step_of(high - low, most)
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (0, "s")) if step >= size)
    values = [place * step for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
    return [(value, f"{round(value / (size or 1), 6):g} {unit}") for value in values]


def _write_seconds(seconds: float) -> str:
    """``"0 s"``, ``"1.5 s"``, ``"2 min 30 s"``."""
    return f"{round(seconds, 6):g} s" if seconds < 120 else format_seconds(seconds)
