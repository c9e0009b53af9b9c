"""`reelmill launches`: look at launches, watch them, report on them, cancel them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from reelmill.cli.interrupt import EXIT_INTERRUPTED, ended_by_ctrl_c
from reelmill.cli.master_client import MasterOption, call_master, master_url
from reelmill.cli.output import Format, FormatOption, local_time, show_record, show_rows
from reelmill.errors import InvalidField

if TYPE_CHECKING:
    from reelmill.domain.explanation import LaunchExplanation
    from reelmill.launcher.answers import LaunchHead
    from reelmill.launcher.client import MasterClient
    from reelmill.launcher.report import Report
    from reelmill.launcher.threshold import Threshold, Verdict
    from reelmill.launcher.watch import LaunchEnd

T = TypeVar("T")

launches_app = typer.Typer(
    help="Look at launches: sets of jobs that were submitted together.", no_args_is_help=True, rich_markup_mode=None
)

LaunchArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The launch's id, the beginning of it, its name, or latest.")
]
ThresholdOption = Annotated[
    list[str] | None,
    typer.Option("--threshold", metavar="RULE", help="Such as 'failed<1%' or 'p95(queue_wait)<5m'; several times."),
]

_STATUSES = ("completed", "failed", "timed_out", "canceled")
_COLUMNS = ["id", "name", "begun", "total", "open", *_STATUSES]
_EXPENDABLE = ["begun", "completed", "canceled", "timed_out", "name", "failed"]
_BRIEF = {"id": 13, "name": 12}
"""Two launches that share so much of their ids began in the same millisecond."""
_SPREADS = ("queue_wait", "run_time", "speed")
EXIT_SOME_FAILED = 3


class ReportFormat(StrEnum):
    """What a report is written as."""

    HTML = "html"
    JSON = "json"
    JUNIT = "junit"


_SUFFIXES = {".html": ReportFormat.HTML, ".htm": ReportFormat.HTML, ".json": ReportFormat.JSON, ".xml": "junit"}
_DEFAULT_FILES = {"html": "launch_report.html", "json": "launch_report.json", "junit": "launch_report.xml"}


@launches_app.command("list")
def list_launches(
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many at most.")] = 20,
    output: FormatOption = Format.TABLE,
    master: MasterOption = None,
) -> None:
    """List the latest launches, newest first."""
    found = call_master(master, lambda client: client.get("/launches", params={"limit": limit}))["launches"]
    rows = found if output in (Format.JSON, Format.NDJSON) else [_flat(launch) for launch in found]
    if output is Format.TABLE:
        rows = [{**row, "begun": local_time(row["created_at"])} for row in rows]
    columns = _COLUMNS if output is Format.TABLE else ["id", "name", "created_at", "total", "open", *_STATUSES]
    show_rows(rows, columns, output, expendable=_EXPENDABLE, brief=_BRIEF)
    if not found:
        typer.echo("no launches yet", err=True)


@launches_app.command("show")
def show_launch(launch: LaunchArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show one launch: its jobs by status, how long they waited and ran, how fast they were."""

    async def work(client: MasterClient) -> tuple[dict[str, Any], LaunchExplanation | None]:
        from reelmill.launcher.client import path_of
        from reelmill.launcher.hindrance import explain_waiting

        head = await _find(client, launch)
        found = await client.get(path_of("launches", head.id, "timings"))
        return found, await explain_waiting(client, head) if output is Format.TABLE else None

    found, why = call_master(master, work)
    if output in (Format.JSON, Format.NDJSON):
        show_record(found, output)
    elif output is Format.CSV:
        spreads: dict[str, Any] = {name: found["timings"][name] or {} for name in _SPREADS}
        flat = {f"{name}_{key}": spreads[name].get(key) for name in _SPREADS for key in ("p50", "p95", "p99", "most")}
        row = {**_flat(found["launch"]), "wall_seconds": found["wall_seconds"]}
        show_record({**row, "jobs_per_second": found["jobs_per_second"], **flat}, output)
    else:
        show_record(_describe(found, why), output)


def _flat(launch: dict[str, Any]) -> dict[str, Any]:
    counts = launch["counts"]
    row = {name: value for name, value in launch.items() if name != "counts"}
    return row | {status: counts.get(status, 0) for status in _STATUSES}


def _describe(found: dict[str, Any], why: LaunchExplanation | None) -> dict[str, Any]:
    """One launch as people read it."""
    from reelmill.launcher.hindrance import describe_waiting
    from reelmill.launcher.progress import format_rate, format_seconds

    launch, timings = found["launch"], found["timings"]
    shown: dict[str, Any] = {"id": launch["id"]}
    if launch["name"]:
        shown["name"] = launch["name"]
    shown |= {"begun": local_time(launch["created_at"]), "jobs": f"{launch['total']:,}"}
    shown |= {status.replace("_", " "): f"{n:,}" for status, n in sorted(launch["counts"].items()) if n}
    if why is not None and why.waiting:
        shown["why"] = describe_waiting(why, sum(wait.jobs for wait in why.waiting))
    if found["wall_seconds"] is not None:
        shown["wall"] = format_seconds(found["wall_seconds"])
    if found["jobs_per_second"] is not None:
        shown["throughput"] = format_rate(found["jobs_per_second"])
    for name in ("queue_wait", "run_time"):
        if timings[name] is not None:
            words = (f"{key} {format_seconds(timings[name][key])}" for key in ("p50", "p95", "p99"))
            shown[name.replace("_", " ")] = ", ".join(words)
    if timings["speed"] is not None:
        shown["encode speed"] = f"p50 {timings['speed']['p50']:.3g}x"
    return shown


@launches_app.command("watch")
def watch(launch: LaunchArgument, threshold: ThresholdOption = None, master: MasterOption = None) -> None:
    """Watch a launch until every job has ended; Ctrl-C ends the watching, not the jobs.

    Exit 3 when a job did not complete; with thresholds it is they that decide: 99 when one is missed.
    """
    from reelmill.launcher.progress import make_display
    from reelmill.launcher.summary import describe_end
    from reelmill.launcher.threshold import EXIT_THRESHOLD_MISSED, describe_verdicts, parse_thresholds

    thresholds = parse_thresholds(threshold or ())
    display = make_display()
    watched: list[str] = []

    async def work(client: MasterClient) -> tuple[LaunchEnd, list[Verdict]]:
        head = await _find(client, launch)
        watched.append(head.id)
        return await _watch(client, head, thresholds)

    outcome = run_until_interrupted(master, work)
    if outcome is None:
        if watched:
            display.say(f"the jobs go on; come back with: reelmill launches watch {watched[0]}")
        raise typer.Exit(EXIT_INTERRUPTED)
    end, verdicts = outcome
    lines = [*describe_end(end), *(["", *describe_verdicts(verdicts)] if verdicts else [])]
    _say(lines)
    if verdicts and not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(EXIT_THRESHOLD_MISSED)
    if not verdicts and not end.all_completed:
        raise typer.Exit(EXIT_SOME_FAILED)


async def _watch(
    client: MasterClient, head: LaunchHead, thresholds: Sequence[Threshold]
) -> tuple[LaunchEnd, list[Verdict]]:
    import asyncio

    from reelmill.launcher.figures import read_figures
    from reelmill.launcher.progress import make_display
    from reelmill.launcher.threshold import judge
    from reelmill.launcher.watch import watch_launch

    display = make_display()
    end = await watch_launch(client, head.id, display, asyncio.Event())
    assert end is not None, "nothing stops it but a cancel"
    verdicts = judge(thresholds, await read_figures(client, head.id, display)) if thresholds else []
    return end, verdicts


async def _find(client: MasterClient, reference: str) -> LaunchHead:
    from reelmill.launcher.launch_choice import find_launch

    return await find_launch(client, reference)


def run_until_interrupted(master: str | None, work: Callable[[MasterClient], Awaitable[T]]) -> T | None:
    """What ``work`` returns, given a client; None when SIGINT, SIGTERM or SIGHUP came first."""
    with ended_by_ctrl_c():
        import asyncio
        import signal

        from reelmill.launcher.client import MasterClient

        url = master_url(master)

    async def main() -> T | None:
        loop = asyncio.get_running_loop()
        async with MasterClient(url) as client:
            task = asyncio.ensure_future(work(client))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    loop.add_signal_handler(number, task.cancel)
            try:
                return await task
            except asyncio.CancelledError:
                return None

    return asyncio.run(main())


@launches_app.command("report")
def report(
    launch: LaunchArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write it; - is standard output.", show_default="launch_report.html"
        ),
    ] = None,
    how: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="What to write.", show_default="by the name of the file, or html"),
    ] = None,
    threshold: ThresholdOption = None,
    results: Annotated[
        Path, typer.Option(metavar="FILE", help="The launch's results, beside which its command is kept.")
    ] = Path("job_launch_results.json"),
    master: MasterOption = None,
) -> None:
    """Write a report of a launch: one HTML page that needs nothing else, or JSON, or JUnit XML.

    Exit 99 when a threshold is missed.
    """
    from reelmill.launcher.progress import format_count
    from reelmill.launcher.threshold import EXIT_THRESHOLD_MISSED, describe_verdicts, parse_thresholds
    from reelmill.launcher.whole_file import STDOUT, WholeFile

    thresholds = parse_thresholds(threshold or ())
    wanted = report_format(output, how)
    with WholeFile(output or Path(_DEFAULT_FILES[wanted])) as file:
        made = run_until_interrupted(master, lambda client: _make_report(client, launch, thresholds, results))
        if made is None:
            raise typer.Exit(EXIT_INTERRUPTED)
        file.write(encode_as(made, wanted))
    typer.echo(f"wrote {file.path} ({format_count(made.total, 'job')})", err=True)
    _say(describe_verdicts(made.thresholds), to_stderr=file.path == STDOUT)
    if made.passed is False:
        raise typer.Exit(EXIT_THRESHOLD_MISSED)


def report_format(output: Path | None, how: ReportFormat | None = None, option: str = "--output") -> ReportFormat:
    """As asked for, or by the name of the file; InvalidField when that says nothing."""
    if how is not None or output is None or str(output) == "-":
        return how or ReportFormat.HTML
    found = _SUFFIXES.get(output.suffix.lower())
    if found is None:
        advice = "; say which with --format" if option == "--output" else ""
        raise InvalidField(option, f"{str(output)!r} ends in none of .html, .json, .xml{advice}")
    return ReportFormat(found)


async def _make_report(client: MasterClient, launch: str, thresholds: Sequence[Threshold], results: Path) -> Report:
    from reelmill import __version__
    from reelmill.launcher.figures import SubmitFigures, read_figures
    from reelmill.launcher.progress import make_display
    from reelmill.launcher.repeat import read_submitted
    from reelmill.launcher.report import Subject, make_report

    head = await _find(client, launch)
    known = read_submitted(results, head.id)
    submit = SubmitFigures(rejected=known.rejected) if known is not None else None
    figures = await read_figures(client, head.id, make_display(), submit)
    command = known.command if known is not None else None
    subject = Subject(launch_id=head.id, name=head.name, created_at=head.created_at, command=command)
    return make_report(subject, figures, thresholds, version=__version__, now=datetime.now(UTC))


def encode_as(made: Report, how: ReportFormat) -> bytes:
    """The content of a report file."""
    match how:
        case ReportFormat.JSON:
            from reelmill.launcher.report import encode_report

            return encode_report(made)
        case ReportFormat.JUNIT:
            from reelmill.launcher.report_junit import encode_junit

            return encode_junit(made)
        case ReportFormat.HTML:
            from reelmill.launcher.report_html import encode_html

            return encode_html(made)


@launches_app.command("cancel")
def cancel(launch: LaunchArgument, master: MasterOption = None) -> None:
    """Cancel every job of a launch that has not ended; running engines are killed."""

    async def work(client: MasterClient) -> int:
        from reelmill.launcher.cancel import cancel_launch
        from reelmill.launcher.client import path_of
        from reelmill.launcher.progress import make_display

        head = await _find(client, launch)
        return await cancel_launch(client, path_of("launches", head.id), make_display())

    typer.echo(f"{call_master(master, work):,} canceled")


def _say(lines: Sequence[str], *, to_stderr: bool = False) -> None:
    from reelmill.launcher.plain_text import showable

    stream = sys.stderr if to_stderr else sys.stdout
    for line in lines:
        stream.write(showable(line) + "\n")
    stream.flush()
