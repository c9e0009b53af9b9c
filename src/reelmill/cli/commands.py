"""The `reelmill` command: its groups and what they hold."""

from __future__ import annotations

from typing import Annotated

import typer

from reelmill import __version__
from reelmill.cli.bus import bus_app
from reelmill.cli.db import db_app
from reelmill.cli.demo import demo
from reelmill.cli.doctor import doctor
from reelmill.cli.jobs import jobs_app
from reelmill.cli.launch import launch
from reelmill.cli.launches import launches_app
from reelmill.cli.master import master
from reelmill.cli.nodes import nodes_app
from reelmill.cli.scenarios import scenarios_app
from reelmill.cli.tenants import tenants_app
from reelmill.cli.tokens import tokens_app
from reelmill.cli.up import up
from reelmill.cli.worker import worker

app = typer.Typer(
    help="Launch thousands of video transcodes, on one machine or a fleet, without losing one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up)
app.command()(master)
app.command()(worker)
app.command()(launch)
app.add_typer(jobs_app, name="jobs")
app.add_typer(launches_app, name="launches")
app.add_typer(nodes_app, name="nodes")
app.add_typer(tenants_app, name="tenants")
app.add_typer(scenarios_app, name="scenarios")
app.add_typer(tokens_app, name="tokens")
app.add_typer(bus_app, name="bus")
app.add_typer(db_app, name="db")
app.command()(doctor)
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reelmill {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Launch thousands of video transcodes, on one machine or a fleet, without losing one."""
