"""`reelmill nodes`: the machines that run jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.master_client import MasterOption, call_master, node_path
from reelmill.cli.output import Format, FormatOption, local_time, show_record, show_rows

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

nodes_app = typer.Typer(help="The machines that run jobs.", no_args_is_help=True, rich_markup_mode=None)

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="The node's name or id.")]

_COLUMNS = ["name", "status", "trouble", "units", "running_jobs", "engines", "labels", "version", "last_seen", "id"]
_TABLE_COLUMNS = ["running" if column == "running_jobs" else column for column in _COLUMNS]
_EXPENDABLE = ["id", "version", "last_seen", "engines", "labels", "units", "running", "trouble"]


@nodes_app.command("list")
def list_nodes(output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """List the nodes, online ones first."""
    nodes = call_master(master, lambda client: client.get("/nodes"))["nodes"]
    if output in (Format.TABLE, Format.CSV):
        nodes = [_flat(node) for node in nodes]
    if output is Format.TABLE:
        nodes = [
            {**node, "last_seen": local_time(node["last_seen"]), "running": node["running_jobs"]} for node in nodes
        ]
    show_rows(nodes, _TABLE_COLUMNS if output is Format.TABLE else _COLUMNS, output, expendable=_EXPENDABLE)
    if not nodes:
        typer.echo("no node has joined yet", err=True)


@nodes_app.command("show")
def show_node(node: NodeArgument, output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """Show one node."""
    show_record(_ask(master, node), output)


@nodes_app.command("drain")
def drain_node(node: NodeArgument, master: MasterOption = None) -> None:
    """Give the node no new jobs; what it runs goes on."""
    typer.echo(f"{node} {_ask(master, node, 'drain')['status']}")


@nodes_app.command("resume")
def resume_node(node: NodeArgument, master: MasterOption = None) -> None:
    """Give the node jobs again."""
    typer.echo(f"{node} {_ask(master, node, 'resume')['status']}")


def _ask(master: str | None, node: str, action: str | None = None) -> dict[str, Any]:
    async def work(client: MasterClient) -> dict[str, Any]:
        if action is None:
            return await client.get(node_path(node))
        return await client.post(node_path(node, action))

    return call_master(master, work)


def _flat(node: dict[str, Any]) -> dict[str, Any]:
    capabilities = node["capabilities"]
    engines = "; ".join(f"{engine}: {', '.join(codecs)}" for engine, codecs in capabilities["engines"].items())
    labels = ", ".join(f"{name}={value}" for name, value in capabilities["labels"].items())
    return {**node, "units": capabilities["units"], "engines": engines, "labels": labels}
