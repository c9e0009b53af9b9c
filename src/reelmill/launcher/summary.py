"""What a launch says of itself at its beginning and its end: lines of plain text that fit a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar

from reelmill.domain.job import Result
from reelmill.domain.quantity import format_bitrate
from reelmill.launcher.answers import Health, JobState, LaunchTimings, Spread
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.plan import Mix, PlanTotals, Span
from reelmill.launcher.progress import format_ms, format_rate, format_seconds
from reelmill.launcher.results import STDOUT
from reelmill.launcher.submit import Submission
from reelmill.launcher.watch import LaunchEnd

T = TypeVar("T")

_UNKNOWN = "-"


def table(rows: Sequence[tuple[str, str]]) -> list[str]:
    """One line for each row, with the values below each other."""
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def describe_options(options: LaunchOptions, master: str, health: Health | None) -> list[str]:
    """The configuration of a launch."""
    plan = options.plan
    delay = f", {options.delay * 1000:g} ms apart" if options.delay else ""
    rows = [
        ("launch", options.launch_id + (f" ({options.name})" if options.name else "")),
        ("master", master + (f", {health.nodes_online} node(s) online" if health else "")),
        ("jobs", f"{plan.count:,}"),
        ("scenario", _only(plan.scenarios, lambda scenario: scenario.name, "random")),
        ("queue", _only(plan.queues, str, "mixed")),
        ("priority", _only(plan.priorities, str, "mixed")),
        ("engine", plan.engine),
        ("duration", _seconds(plan.duration)),
        ("bitrate", _bitrate(plan.bitrate, synthetic=plan.input is None)),
        *([("input", _input(plan.input))] if plan.input else []),
        ("seed", str(plan.seed)),
        ("batches", f"of {options.batch_size:,}{delay}"),
        *_results(options),
    ]
    return table(rows)


def _results(options: LaunchOptions) -> list[tuple[str, str]]:
    if options.output is None:
        return []
    return [("results", "to standard output" if options.output == STDOUT else str(options.output))]


def _input(path: str) -> str:
    if Path(path).exists():
        return path
    where = "not here" if Path(path).is_absolute() else "below the media root"
    return f"{path} ({where}; checked when it runs)"


def _only(choices: Mix[T], name: Callable[[T], str], several: str) -> str:
    return name(choices.choices[0]) if len(choices.choices) == 1 else several


def _seconds(span: Span | None) -> str:
    if span is None:
        return "of the input"
    return f"{span.low:g} s" if span.low == span.high else f"{span.low:g} to {span.high:g} s"


def _bitrate(span: Span | None, *, synthetic: bool) -> str:
    if span is None:
        return "usual range of the scenario" if synthetic else "middle of the scenario's range"
    low = format_bitrate(span.low)
    return low if span.low == span.high else f"{low} to {format_bitrate(span.high)}"


def describe_totals(totals: PlanTotals) -> list[str]:
    """The mix of a plan."""
    rows = [
        *((f"scenario {name}", n) for name, n in totals.scenarios.most_common()),
        *((f"queue {name}", n) for name, n in totals.queues.most_common()),
        *((f"priority {name}", n) for name, n in totals.priorities.most_common()),
    ]
    seconds = totals.media_seconds
    media = "as long as the input" if seconds is None else f"{seconds:,.1f} s ({format_seconds(seconds)})"
    shares = [(name, f"{n:,} ({100 * n / totals.count:.1f}%)") for name, n in rows]
    return table([*shares, ("media in all", media)])


def describe_submission(options: LaunchOptions, submission: Submission) -> list[str]:
    """The summary behind the submit."""
    rate = format_rate(submission.submitted / submission.seconds) if submission.seconds > 0 else _UNKNOWN
    timings = [
        ("duration", format_seconds(submission.seconds)),
        ("rate", rate),
        ("latency", _latency(submission.latencies)),
    ]
    rows = [
        ("launch", options.launch_id),
        ("submitted", f"{submission.submitted:,} of {options.plan.count:,}"),
        ("accepted", f"{submission.accepted:,}"),
        ("rejected", f"{submission.rejected:,}"),
        *([("unknown", f"{submission.unknown:,} (no answer heard)")] if submission.unknown else []),
        *(timings if options.plan.count > 1 else []),
        *([("first error", submission.first_error)] if submission.first_error else []),
        *_results(options),
    ]
    return table(rows)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values, of which there must be one at least."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def _latency(seconds: Sequence[float]) -> str:
    if not seconds:
        return _UNKNOWN
    ordered = sorted(seconds)
    shown = (f"p{share} {format_ms(percentile(ordered, share / 100))}" for share in (50, 95, 99))
    return ", ".join(shown)


def describe_end(end: LaunchEnd) -> list[str]:
    """The final table of a launch that was watched, and what there is to say of failed jobs or of the only one."""
    found = end.timings
    if end.only_job is not None:
        return _describe_only(end.only_job, found)
    rows = [
        *((status, f"{n:,}") for status, n in sorted(found.launch.counts.items()) if n),
        ("wall", format_seconds(found.wall_seconds) if found.wall_seconds is not None else _UNKNOWN),
        ("throughput", format_rate(found.jobs_per_second) if found.jobs_per_second is not None else _UNKNOWN),
        ("queue wait", _spread(found.timings.queue_wait)),
        ("run time", _spread(found.timings.run_time)),
        ("encode speed", f"p50 {found.timings.speed.p50:.3g}x" if found.timings.speed else _UNKNOWN),
    ]
    return [*table(rows), *(_describe_failure(job) for job in end.failures)]


def _describe_failure(job: JobState) -> str:
    return f"job {job.sequence_number} ({job.scenario}) {job.status}: {job.error}"


def _describe_only(job: JobState, found: LaunchTimings) -> list[str]:
    """Of one job there is no spread and no throughput."""
    if job.result is None:
        return [_describe_failure(job)]
    wait = found.timings.queue_wait
    waited = [("queue wait", format_seconds(wait.p50))] if wait is not None else []
    return table([("status", job.status), *waited, *_result_rows(job, job.result)])


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return _UNKNOWN
    return f"p50 {format_seconds(spread.p50)}, p95 {format_seconds(spread.p95)}"


def _result_rows(job: JobState, result: Result) -> list[tuple[str, str]]:
    """What was verified of a job's output."""
    return [
        ("job", f"{job.id} (number {job.sequence_number})"),
        ("output", result.output),
        ("size", f"{result.size_bytes:,} bytes"),
        ("duration", f"{result.duration:.2f} s, {result.frames:,} frames"),
        ("video", f"{result.codec} {result.width}x{result.height} at {result.fps:g} fps"),
        ("audio", result.audio_codec or "none"),
        ("speed", f"{result.speed:.3g}x ({result.engine}, {format_seconds(result.encode_seconds)})"),
        ("sha256", result.sha256),
    ]
