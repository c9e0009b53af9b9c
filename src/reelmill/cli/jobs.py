"""`reelmill jobs`: look at jobs and act on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.job_listing import list_jobs
from reelmill.cli.job_watch import watch_job
from reelmill.cli.master_client import MasterOption, call_master, job_path, launch_path
from reelmill.cli.output import Format, FormatOption, local_time, say, show_record, show_rows, write_text
from reelmill.errors import InvalidField, UsageError

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

jobs_app = typer.Typer(help="Look at jobs and act on them.", no_args_is_help=True, rich_markup_mode=None)
jobs_app.command("list")(list_jobs)
jobs_app.command("watch")(watch_job)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id or sequence number.")]
JobArguments = Annotated[list[str], typer.Argument(metavar="JOB", help="Ids or sequence numbers.")]
SomeJobs = Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Ids or sequence numbers.")]

_POLL_SECONDS = 0.5
_WAITING = ("queued", "retrying", "paused")
EXIT_SOME_FAILED = 3


@jobs_app.command("show")
def show_job(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show one job: how long, how fast, how big, and the SHA-256 of its output."""
    found: dict[str, Any] = call_master(master, lambda client: client.get(job_path(job)))
    if output is not Format.TABLE:
        show_record(found, output)
        return
    result: dict[str, Any] = found.pop("result") or {}
    lost: list[dict[str, Any]] = found.pop("lost_attempts", [])
    parts: dict[str, dict[str, Any]] = {
        "stream": found.pop("stream", None) or {},
        "parameters": found.pop("parameters"),
        "result.quality": result.pop("quality", None) or {},
        "result.stream": result.pop("stream", None) or {},
        "result": result,
        "lost_attempt": {str(one["attempt"]): _describe_loss(one) for one in lost},
    }
    shown = {name: value for name, value in found.items() if value not in (None, {}, "")}
    for part, values in parts.items():
        shown |= {f"{part}.{name}": value for name, value in values.items() if value is not None}
    shown.pop("blocked", None)  # the explanation says it too
    if found["status"] in _WAITING:
        shown["why"] = call_master(master, lambda client: client.get(job_path(job, "explain")))["summary"]
    show_record(shown, output)


def _describe_loss(lost: dict[str, Any]) -> str:
    """What an attempt used that came to nothing, and from where that is known."""
    joules, cost = lost["energy_joules"], lost["cost"]
    energy = "unmeasured" if joules is None else f"{joules} J ({lost['energy_source']})"
    money = "" if cost is None else f", {cost} {lost['currency']} ({lost['cost_source']})"
    card = "" if lost["gpu_joules"] is None else f", {lost['gpu_joules']} J of graphics cards ({lost['gpu_source']})"
    return f"{lost['reason']} on {lost['node_name']}: {energy}{card}{money}"


@jobs_app.command("explain")
def explain_job(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Say why a job does not run, and for each node why it does not run there."""
    found: dict[str, Any] = call_master(master, lambda client: client.get(job_path(job, "explain")))
    if output in (Format.JSON, Format.NDJSON):
        show_record(found, output)
        return
    if output is Format.TABLE:
        say(found["summary"])
    show_rows(found["nodes"], ["node_name", "able", "reason"], output)


@jobs_app.command("logs")
def show_logs(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show what each attempt's engine was told and what it said."""
    attempts = call_master(master, lambda client: client.get(job_path(job, "logs")))["attempts"]
    if output is not Format.TABLE:
        show_rows(attempts, ["attempt", "node_name", "command", "text"], output)
        return
    for attempt in attempts:
        said = attempt["text"].replace("\r\n", "\n").replace("\r", "\n").rstrip() or "(the engine said nothing)"
        write_text(f"# attempt {attempt['attempt']} on {attempt['node_name']}\n$ {attempt['command']}\n{said}\n")
    if not attempts:
        typer.echo("there is no log: only attempts that ended by themselves leave one", err=True)


@jobs_app.command("history")
def show_history(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show every step of a job, oldest first."""
    steps = call_master(master, lambda client: client.get(job_path(job, "history")))["history"]
    if output is Format.TABLE:
        steps = [{**step, "at": local_time(step["at"])} for step in steps]
    columns = ["at", "from_status", "to_status", "attempt", "node_name", "reason"]
    show_rows(steps, columns, output, expendable=["node_name", "attempt", "from_status"])


@jobs_app.command("cancel")
def cancel_jobs(
    jobs: SomeJobs = None,
    launch: Annotated[str | None, typer.Option(metavar="ID", help="Cancel every job of this launch instead.")] = None,
    master: MasterOption = None,
) -> None:
    """Cancel jobs that have not ended; a running or paused engine is killed."""
    _need_one(jobs, launch)
    if launch is None:
        _act_on_all(master, jobs or [], "cancel")
        return

    async def work(client: MasterClient) -> int:
        from reelmill.launcher.cancel import cancel_launch
        from reelmill.launcher.progress import make_display

        return await cancel_launch(client, launch_path(launch), make_display())

    typer.echo(f"{call_master(master, work)} canceled")


@jobs_app.command("pause")
def pause_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Let jobs wait until they are resumed; a running engine stands still where it is."""
    _act_on_all(master, jobs, "pause")


@jobs_app.command("resume")
def resume_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Let paused jobs go on, where their engine stands still or from the queue."""
    _act_on_all(master, jobs, "resume")


@jobs_app.command("retry")
def retry_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Try failed, timed out or canceled jobs again, with all their tries."""
    _act_on_all(master, jobs, "retry")


@jobs_app.command("wait")
def wait_for_jobs(
    jobs: SomeJobs = None,
    launch: Annotated[str | None, typer.Option(metavar="ID", help="Wait for every job of this launch instead.")] = None,
    master: MasterOption = None,
) -> None:
    """Wait until jobs have ended; exit 3 when one of them did not complete."""
    _need_one(jobs, launch)

    async def work(client: MasterClient) -> bool:
        if launch is not None:
            return await _wait_for_launch(client, launch)
        ends = [await _wait_for_job(client, job) for job in jobs or ()]
        return all(end == "completed" for end in ends)

    if not call_master(master, work):
        raise typer.Exit(EXIT_SOME_FAILED)


def _need_one(jobs: list[str] | None, launch: str | None) -> None:
    if not jobs and launch is None:
        raise InvalidField("", "JOB is missing: name jobs, or all jobs of a launch with --launch ID")
    if jobs and launch is not None:
        raise InvalidField("", "JOB names some jobs, and --launch all jobs of a launch; give one of the two")


async def _wait_for_job(client: MasterClient, job: str) -> str:
    import asyncio

    from reelmill.domain.job import TERMINAL

    told: str | None = None
    while (seen := await client.get(job_path(job)))["status"] not in TERMINAL:
        if seen["blocked"] not in (None, told):
            told = seen["blocked"]
            typer.echo(f"{seen['sequence_number']} waits: {told}", err=True)
        await asyncio.sleep(_POLL_SECONDS)
    reason = f": {seen['error']}" if seen["error"] else ""
    say(f"{seen['sequence_number']} {seen['status']}{reason}")
    return seen["status"]


async def _wait_for_launch(client: MasterClient, launch: str) -> bool:
    import asyncio

    while (seen := await client.get(launch_path(launch)))["open"]:
        await asyncio.sleep(_POLL_SECONDS)
    say(", ".join(f"{n} {status}" for status, n in seen["counts"].items()))
    return set(seen["counts"]) <= {"completed"}


def _act_on_all(master: str | None, jobs: list[str], action: str) -> None:
    """Act on each job; say what became of it; exit 3 when it was not possible for one."""

    async def work(client: MasterClient) -> int:
        failures = 0
        for job in jobs:
            try:
                seen = await client.post(job_path(job, action))
                say(f"{seen['sequence_number']} {seen['status']}")
            except UsageError as error:  # of this job; what is no answer is none to the others either
                if len(jobs) == 1:
                    raise
                failures += 1
                typer.echo(f"{job}: {error}", err=True)
        return failures

    if call_master(master, work):
        raise typer.Exit(EXIT_SOME_FAILED)
