"""`reelmill tenants`: on whose behalf jobs run, how many of them at once, and how many may wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from reelmill.cli.master_client import MasterOption, call_master, tenant_path
from reelmill.cli.output import Format, FormatOption, show_rows
from reelmill.errors import InvalidField, NotFound

tenants_app = typer.Typer(
    help="On whose behalf jobs run, how many of them at once, and how many may wait.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_LIMITS = ("max_running", "max_queued")

TenantArgument = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]


@tenants_app.command("list")
def list_tenants(output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """List the tenants with their limits, the jobs that nodes hold of each, and those that wait."""
    tenants = call_master(master, lambda client: client.get("/tenants"))["tenants"]
    if output is Format.TABLE:
        tenants = [{**tenant, **{name: _shown(tenant[name]) for name in _LIMITS}} for tenant in tenants]
    show_rows(tenants, ["name", "max_running", "held_jobs", "max_queued", "waiting_jobs"], output)
    if not tenants:
        typer.echo("no tenant has sent a job yet", err=True)


@tenants_app.command("limit")
def limit_tenant(
    name: TenantArgument,
    most: Annotated[
        int | None,
        typer.Argument(metavar="[N]", min=0, help="How many of its jobs may run at once.", show_default=False),
    ] = None,
    max_queued: Annotated[
        int | None,
        typer.Option("--max-queued", metavar="N", min=0, help="How many of its jobs may wait before more are refused."),
    ] = None,
    master: MasterOption = None,
) -> None:
    """Limit how many jobs of a tenant run at once, how many wait, or both; what runs or waits already stays."""
    limits = {"max_running": most, "max_queued": max_queued}
    given = {field: limit for field, limit in limits.items() if limit is not None}
    if not given:
        raise InvalidField("", "say how many of its jobs may run at once, or how many may wait with --max-queued N")
    _set(master, name, given)


@tenants_app.command("unlimit")
def unlimit_tenant(name: TenantArgument, master: MasterOption = None) -> None:
    """Take the limits of a tenant away: any number of its jobs may run at once and wait."""
    tenants = call_master(master, lambda client: client.get("/tenants"))["tenants"]
    limited = [tenant["name"] for tenant in tenants if any(tenant[field] is not None for field in _LIMITS)]
    if name not in limited:
        raise NotFound(f"there is no tenant {name[:80]!r} with a limit; `reelmill tenants list` shows who has one")
    _set(master, name, dict.fromkeys(_LIMITS))


def _set(master: str | None, name: str, limits: Mapping[str, int | None]) -> None:
    tenant: dict[str, Any] = call_master(master, lambda client: client.put(tenant_path(name), limits))
    running = f"{_shown(tenant['max_running'])} at once, {tenant['held_jobs']:,} now"
    waiting = f"{_shown(tenant['max_queued'])} may wait, {tenant['waiting_jobs']:,} do"
    typer.echo(f"{tenant['name']}: {running}; {waiting}")


def _shown(most: int | None) -> str:
    return "any number" if most is None else str(most)
