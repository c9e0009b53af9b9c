"""`reelmill tenants`: on whose behalf jobs run, and how many of them at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reelmill.cli.master_client import MasterOption, call_master, tenant_path
from reelmill.cli.output import Format, FormatOption, show_rows

tenants_app = typer.Typer(
    help="On whose behalf jobs run, and how many of them at once.", no_args_is_help=True, rich_markup_mode=None
)

TenantArgument = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]


@tenants_app.command("list")
def list_tenants(output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """List the tenants with their limits and the jobs that nodes hold of each."""
    tenants = call_master(master, lambda client: client.get("/tenants"))["tenants"]
    if output is Format.TABLE:
        tenants = [{**tenant, "max_running": _shown(tenant["max_running"])} for tenant in tenants]
    show_rows(tenants, ["name", "max_running", "held_jobs"], output)
    if not tenants:
        typer.echo("no tenant has sent a job yet", err=True)


@tenants_app.command("limit")
def limit_tenant(
    name: TenantArgument,
    most: Annotated[int, typer.Argument(metavar="N", min=0, help="How many of its jobs may run at once.")],
    master: MasterOption = None,
) -> None:
    """Let at most N jobs of a tenant run at once; what runs already goes on."""
    _set(master, name, most)


@tenants_app.command("unlimit")
def unlimit_tenant(name: TenantArgument, master: MasterOption = None) -> None:
    """Let any number of a tenant's jobs run at once."""
    _set(master, name, None)


def _set(master: str | None, name: str, most: int | None) -> None:
    tenant: dict[str, Any] = call_master(master, lambda client: client.put(tenant_path(name), {"max_running": most}))
    typer.echo(f"{tenant['name']}: {_shown(tenant['max_running'])} at once, {tenant['held_jobs']} now")


def _shown(most: int | None) -> str:
    return "any number" if most is None else str(most)
