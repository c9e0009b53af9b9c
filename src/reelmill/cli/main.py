"""The `reelmill` command: its groups, and how errors end it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from reelmill import __version__
from reelmill.cli.demo import demo
from reelmill.cli.doctor import doctor
from reelmill.cli.jobs import jobs_app
from reelmill.cli.launch import launch
from reelmill.cli.nodes import nodes_app
from reelmill.cli.scenarios import scenarios_app
from reelmill.cli.up import up
from reelmill.errors import InvalidField, ReelmillError, SettingsError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="Launch thousands of video transcodes, on one machine or a fleet, without losing one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up)
app.command()(launch)
app.add_typer(jobs_app, name="jobs")
app.add_typer(nodes_app, name="nodes")
app.add_typer(scenarios_app, name="scenarios")
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


def run() -> None:
    """Run the command line; an error of ours becomes one line and an exit code, never a traceback."""
    try:
        app()
    except ReelmillError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(EXIT_USAGE if isinstance(error, InvalidField | SettingsError) else EXIT_ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # `reelmill jobs list | head`: nobody wants the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
