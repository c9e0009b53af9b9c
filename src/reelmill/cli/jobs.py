"""`reelmill jobs`: look at jobs and act on them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.master_client import MasterOption, call_master
from reelmill.cli.output import Format, FormatOption, show_record, show_rows
from reelmill.errors import InvalidField, ReelmillError

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

jobs_app = typer.Typer(help="Look at jobs and act on them.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id or sequence number.")]
JobArguments = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids or sequence numbers.")]
FilterOption = Annotated[list[str] | None, typer.Option(help="Only these; several times, or with commas.")]

_COLUMNS = ["number", "scenario", "queue", "priority", "status", "progress", "speed", "node", "error_code"]
_CSV_COLUMNS = [
    *("sequence_number", "id", "scenario", "engine", "queue", "priority", "status", "progress", "speed", "attempt"),
    *("node_name", "created_at", "started_at", "completed_at", "failure_reason", "error_code", "error"),
]
_PAGE = 1000
_TERMINAL = {"completed", "failed", "canceled", "timed_out"}
_POLL_SECONDS = 0.5
EXIT_SOME_FAILED = 3


@jobs_app.command("list")
def list_jobs(
    status: FilterOption = None,
    queue: FilterOption = None,
    priority: FilterOption = None,
    scenario: FilterOption = None,
    launch: FilterOption = None,
    node: FilterOption = None,
    label: Annotated[str | None, typer.Option(metavar="NAME:VALUE", help="Only jobs with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="Every match, oldest first, whatever --limit says.")
    ] = False,
    output: FormatOption = Format.TABLE,
    master: MasterOption = None,
) -> None:
    """List jobs, newest first."""
    filters = {
        "status": status,
        "queue": queue,
        "priority": priority,
        "scenario": scenario,
        "launch": launch,
        "node": node,
    }
    params: dict[str, str | int] = {name: ",".join(values) for name, values in filters.items() if values}
    if label:
        params["label"] = label
    params["order"] = "asc" if everything else "desc"

    async def work(client: MasterClient) -> list[dict[str, Any]]:
        return [job async for job in _jobs(client, params, None if everything else limit)]

    jobs = call_master(master, work)
    if output is Format.TABLE:
        jobs = [{**job, "number": job["sequence_number"], "node": job["node_name"]} for job in jobs]
    show_rows(jobs, _COLUMNS if output is Format.TABLE else _CSV_COLUMNS, output)


async def _jobs(client: MasterClient, params: dict[str, str | int], most: int | None) -> AsyncIterator[dict[str, Any]]:
    seen = 0
    cursor: dict[str, str | int] = {}
    while most is None or seen < most:
        size = _PAGE if most is None else min(_PAGE, most - seen)
        page = await client.get("/jobs", params={**params, **cursor, "limit": size})
        for job in page["jobs"]:
            seen += 1
            yield job
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


@jobs_app.command("show")
def show_job(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show one job: how long, how fast, how big, and the SHA-256 of its output."""
    found: dict[str, Any] = call_master(master, lambda client: client.get(_path(job)))
    if output is not Format.TABLE:
        show_record(found, output)
        return
    result: dict[str, Any] = found.pop("result") or {}
    parameters: dict[str, Any] = found.pop("parameters")
    shown = {name: value for name, value in found.items() if value not in (None, {}, "")}
    shown |= {f"parameters.{name}": value for name, value in parameters.items()}
    shown |= {f"result.{name}": value for name, value in result.items() if value is not None}
    show_record(shown, output)


@jobs_app.command("logs")
def show_logs(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show what each attempt's engine was told and what it said."""
    attempts = call_master(master, lambda client: client.get(_path(job, "logs")))["attempts"]
    if output is not Format.TABLE:
        show_rows(attempts, ["attempt", "node_name", "command", "text"], output)
        return
    for attempt in attempts:
        sys.stdout.write(f"# attempt {attempt['attempt']} on {attempt['node_name']}\n$ {attempt['command']}\n")
        sys.stdout.write(f"{attempt['text'].rstrip()}\n" if attempt["text"] else "(the engine said nothing)\n")
    if not attempts:
        typer.echo("no attempt has ended yet", err=True)


@jobs_app.command("history")
def show_history(job: JobArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show every step of a job, oldest first."""
    steps = call_master(master, lambda client: client.get(_path(job, "history")))["history"]
    show_rows(steps, ["at", "from_status", "to_status", "attempt", "node_name", "reason"], output)


@jobs_app.command("cancel")
def cancel_jobs(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Ids or sequence numbers.")] = None,
    launch: Annotated[str | None, typer.Option(help="Cancel every job of this launch instead.")] = None,
    master: MasterOption = None,
) -> None:
    """Cancel jobs that have not ended; a running engine is killed."""
    _need_one(jobs, launch)
    if launch is None:
        _act_on_all(master, jobs or [], "cancel")
        return
    path = _path(launch, "cancel", collection="launches")
    typer.echo(f"{call_master(master, lambda client: client.post(path))['canceled']} canceled")


@jobs_app.command("pause")
def pause_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Let waiting jobs wait until they are resumed."""
    _act_on_all(master, jobs, "pause")


@jobs_app.command("resume")
def resume_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Let paused jobs go on."""
    _act_on_all(master, jobs, "resume")


@jobs_app.command("retry")
def retry_jobs(jobs: JobArguments, master: MasterOption = None) -> None:
    """Try failed, timed out or canceled jobs again, with all their tries."""
    _act_on_all(master, jobs, "retry")


@jobs_app.command("wait")
def wait_for_jobs(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Ids or sequence numbers.")] = None,
    launch: Annotated[str | None, typer.Option(help="Wait for every job of this launch instead.")] = None,
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
    if bool(jobs) == (launch is not None):
        raise InvalidField("JOB", "name jobs, or a launch with --launch")


async def _wait_for_job(client: MasterClient, job: str) -> str:
    while (seen := await client.get(_path(job)))["status"] not in _TERMINAL:
        await asyncio.sleep(_POLL_SECONDS)
    reason = f": {seen['error']}" if seen["error"] else ""
    typer.echo(f"{seen['sequence_number']} {seen['status']}{reason}")
    return seen["status"]


async def _wait_for_launch(client: MasterClient, launch: str) -> bool:
    while (seen := await client.get(_path(launch, collection="launches")))["open"]:
        await asyncio.sleep(_POLL_SECONDS)
    typer.echo(", ".join(f"{n} {status}" for status, n in seen["counts"].items()))
    return set(seen["counts"]) <= {"completed"}


def _act_on_all(master: str | None, jobs: list[str], action: str) -> None:
    """Act on each job; say what became of it; exit 3 when it was not possible for one."""

    async def work(client: MasterClient) -> int:
        failures = 0
        for job in jobs:
            try:
                seen = await client.post(_path(job, action))
                typer.echo(f"{seen['sequence_number']} {seen['status']}")
            except ReelmillError as error:
                if len(jobs) == 1:
                    raise
                failures += 1
                typer.echo(f"{job}: {error}", err=True)
        return failures

    if call_master(master, work):
        raise typer.Exit(EXIT_SOME_FAILED)


def _path(reference: str, *rest: str, collection: str = "jobs") -> str:
    from reelmill.launcher.client import path_of

    return path_of(collection, reference, *rest)
