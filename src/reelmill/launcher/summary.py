"""What a launch says of itself at its beginning and its end: lines of plain text that fit a narrow terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from reelmill.domain.job import Result
from reelmill.domain.quality import describe_quality
from reelmill.launcher.answers import Health, JobState, LaunchTimings, Spread
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.plan import PlanTotals
from reelmill.launcher.plan_words import describe_plan
from reelmill.launcher.progress import format_count, format_ms, format_rate, format_seconds
from reelmill.launcher.submit import Submission
from reelmill.launcher.watch import LaunchEnd
from reelmill.launcher.whole_file import STDOUT

_UNKNOWN = "-"


def table(rows: Sequence[tuple[str, str]]) -> list[str]:
    """One line for each row, with the values below each other."""
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def describe_options(options: LaunchOptions, master: str, health: Health | None) -> list[str]:
    """The configuration of a launch."""
    rows = [
        ("launch", options.launch_id + (f" ({options.name})" if options.name else "")),
        ("master", master + (f", {format_count(health.nodes_online, 'node')} online" if health else "")),
        *describe_plan(options.plan),
        ("sending", _pace(options)),
        *_results(options),
    ]
    return table(rows)


def _pace(options: LaunchOptions) -> str:
    if options.arrival is not None:
        return str(options.arrival)
    growing = options.most_batch > options.batch_size
    sizes = f"{options.batch_size:,} to {options.most_batch:,}" if growing else f"{options.batch_size:,}"
    return f"{sizes} jobs a request" + (f", {options.delay * 1000:g} ms apart" if options.delay else "")


def _results(options: LaunchOptions) -> list[tuple[str, str]]:
    if options.output is None:
        return []
    return [("results", "to standard output" if options.output == STDOUT else str(options.output))]


def describe_totals(totals: PlanTotals) -> list[str]:
    """The mix of a plan."""
    counts = {"scenario": totals.scenarios, "queue": totals.queues, "priority": totals.priorities, "kind": totals.kinds}
    about = "" if totals.is_exact else "about "
    rows = [
        (f"{word} {name}", f"{about}{n:,} ({100 * n / totals.count:.1f}%)")
        for word, found in counts.items()
        for name, n in found.items()
    ]
    seconds = totals.media_seconds
    media = "as long as the inputs" if seconds is None else f"{about}{seconds:,.1f} s ({format_seconds(seconds)})"
    return table([*rows, ("media in all", media)])


def describe_submission(options: LaunchOptions, submission: Submission) -> list[str]:
    """The summary behind the submit."""
    sent = submission.submitted - submission.before
    rate = format_rate(sent / submission.seconds) if sent and submission.seconds > 0 else _UNKNOWN
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
        *([("before", f"{submission.before:,} by an earlier run")] if submission.before else []),
        *(timings if options.plan.count > 1 and sent else []),
        *([("lateness", f"at most {format_ms(submission.lateness)}")] if options.arrival is not None else []),
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
        *([("quality", describe_quality(result.quality))] if result.quality is not None else []),
        ("speed", f"{result.speed:.3g}x ({result.engine}, {format_seconds(result.encode_seconds)})"),
        ("sha256", result.sha256 or "none: a stream leaves no file"),
    ]
