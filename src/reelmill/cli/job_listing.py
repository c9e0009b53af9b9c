"""`reelmill jobs list`: any number of jobs, in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.master_client import MasterOption, call_master, job_path, node_path, read_jobs
from reelmill.cli.output import Format, FormatOption, local_time, make_writer
from reelmill.errors import Conflict, InvalidField, NotFound

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient


def _filter(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=f"{text}; several times, or with commas.")


Statuses = Annotated[list[str] | None, _filter("STATUS", "Such as queued, running or failed")]
Queues = Annotated[list[str] | None, _filter("QUEUE", "live, default or batch")]
Priorities = Annotated[list[str] | None, _filter("PRIORITY", "high, medium or low")]
Scenarios = Annotated[list[str] | None, _filter("NAME", "Such as 720p30-h264")]
Engines = Annotated[list[str] | None, _filter("ENGINE", "auto, ffmpeg or gstreamer")]
Launches = Annotated[list[str] | None, _filter("ID", "Ids of launches")]
Tenants = Annotated[list[str] | None, _filter("NAME", "Names of tenants")]
Parents = Annotated[list[str] | None, _filter("JOB", "Chunks of these jobs, by id or number")]
Nodes = Annotated[list[str] | None, _filter("NODE", "Names or ids of nodes")]

_COLUMNS = [
    *("number", "status", "done", "scenario", "queue", "priority", "speed", "node", "file", "submitted"),
    "error_code",
]
_EXPENDABLE = ["speed", "node", "priority", "submitted", "queue", "error_code", "file", "done", "scenario"]
_BRIEF = {"file": 12}
_FIELDS = (
    *("id", "sequence_number", "scenario", "queue", "priority", "status", "progress", "speed", "node_name"),
    *("parameters", "result", "created_at", "error_code", "blocked"),
)
_CSV_COLUMNS = [
    *("sequence_number", "id", "scenario", "engine", "queue", "priority", "status", "progress", "speed", "attempt"),
    *("node_name", "created_at", "started_at", "completed_at", "failure_reason", "error_code", "error"),
    *("tenant", "blocked"),
]
_LONGEST_FILE = 32
_UUID_END = 8


def list_jobs(
    status: Statuses = None,
    queue: Queues = None,
    priority: Priorities = None,
    scenario: Scenarios = None,
    engine: Engines = None,
    launch: Launches = None,
    node: Nodes = None,
    tenant: Tenants = None,
    parent: Parents = None,
    label: Annotated[str | None, typer.Option(metavar="NAME:VALUE", help="Only jobs with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="Every match, oldest first, whatever --limit says.")
    ] = False,
    output: FormatOption = Format.TABLE,
    master: MasterOption = None,
) -> None:
    """List jobs, newest first."""
    names = ("status", "queue", "priority", "scenario", "engine", "launch", "node", "tenant", "parent")
    given = (status, queue, priority, scenario, engine, launch, node, tenant, parent)
    filters = {name: _split(values) for name, values in zip(names, given, strict=True) if values}
    _check(filters)
    params: dict[str, str | int] = {name: ",".join(values) for name, values in filters.items()}
    if label:
        params["label"] = label
    matter = "match" if params else "yet"
    params["order"] = "asc" if everything else "desc"
    if output is Format.TABLE:
        params["fields"] = ",".join(_FIELDS)
    elif output is Format.CSV:
        params["fields"] = ",".join(_CSV_COLUMNS)

    async def work(client: MasterClient) -> int:
        await _find_named(client, filters, params)
        return await _show(client, params, None if everything else limit, output)

    if not call_master(master, work):
        typer.echo(f"no jobs {matter}", err=True)


async def _find_named(client: MasterClient, filters: Mapping[str, Sequence[str]], params: dict[str, str | int]) -> None:
    """Put the ids of the launches that are meant into the query; NotFound when there is no such launch or node."""
    from reelmill.launcher.launch_choice import find_launch

    if "launch" in filters:
        params["launch"] = ",".join([(await find_launch(client, name)).id for name in filters["launch"]])
    if "parent" in filters:
        params["parent"] = ",".join([(await client.get(job_path(name)))["id"] for name in filters["parent"]])
    for name in filters.get("node", ()):
        await _check_node(client, name)


async def _check_node(client: MasterClient, name: str) -> None:
    """A node that was forgotten may still have jobs: only when it has none is there no such node."""
    try:
        await client.get(node_path(name))
    except Conflict:  # several are called so
        return
    except NotFound:
        if not (await client.get("/jobs", params={"node": name, "fields": "id", "limit": 1}))["jobs"]:
            raise


async def _show(client: MasterClient, params: dict[str, str | int], most: int | None, output: Format) -> int:
    table = output is Format.TABLE
    writer = make_writer(_COLUMNS if table else _CSV_COLUMNS, output, expendable=_EXPENDABLE, brief=_BRIEF)
    count = 0
    async for jobs in read_jobs(client, params, most):
        writer.write([_row(job) for job in jobs] if table else jobs)
        count += len(jobs)
    writer.end()
    return count


def _split(values: Sequence[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def _check(filters: dict[str, list[str]]) -> None:
    """Refuse a name that no job can have, with the whole list of those that one can."""
    from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES, STATUSES
    from reelmill.domain.suggestion import unknown_name

    for name, known in (("status", STATUSES), ("queue", QUEUES), ("priority", PRIORITIES), ("engine", ENGINES)):
        for value in filters.get(name, ()):
            if value not in known:
                raise InvalidField(f"--{name}", f"{unknown_name(name, value, known)}; there are {', '.join(known)}")


def _row(job: dict[str, Any]) -> dict[str, Any]:
    speed = job["speed"]
    return {
        **job,
        "number": job["sequence_number"],
        "done": f"{job['progress']:.0f}%",
        "status": f"{job['status']}, blocked" if job["blocked"] else job["status"],
        "speed": "" if speed is None else f"{speed:.3g}x",
        "node": job["node_name"],
        "file": _file(job),
        "submitted": local_time(job["created_at"]),
    }


def _file(job: dict[str, Any]) -> str:
    """The input, or the output when the job is synthetic: its path for a program, what fits of its name for people."""
    parameters: dict[str, Any] = job["parameters"]
    result: dict[str, Any] = job["result"] or {}
    path: str = parameters.get("input") or parameters.get("output") or result.get("output") or ""
    if not sys.stdout.isatty():
        return path
    name = PurePosixPath(path).name
    if name.startswith(job["id"]):  # nobody chose it: the last characters tell such names apart
        return "…" + name[len(job["id"]) - _UUID_END :]
    return name if len(name) <= _LONGEST_FILE else "…" + name[1 - _LONGEST_FILE :]
