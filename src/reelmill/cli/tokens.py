"""`reelmill tokens`: which workers on other machines may join."""

from __future__ import annotations

from typing import Annotated

import typer

from reelmill.cli.master_client import MasterOption, call_master, token_path
from reelmill.cli.output import Format, FormatOption, local_time, show_rows

tokens_app = typer.Typer(help="Which workers on other machines may join.", no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")]


@tokens_app.command("create")
def create_token(name: NameArgument, master: MasterOption = None) -> None:
    """Make a token and print the command with which workers join; any number of them may use it. It is shown once."""
    made = call_master(master, lambda client: client.post("/tokens", body={"name": name}))
    typer.echo(f"reelmill worker --join {made['join']}")
    typer.echo(f"this is shown once; take it back with `reelmill tokens revoke {name}`", err=True)


@tokens_app.command("list")
def list_tokens(output: FormatOption = Format.TABLE, master: MasterOption = None) -> None:
    """List the tokens, without their secrets, those that count first."""
    tokens = call_master(master, lambda client: client.get("/tokens"))["tokens"]
    if output is Format.TABLE:
        times = ("created_at", "revoked_at")
        tokens = [{**token, **{time: local_time(token[time]) for time in times}} for token in tokens]
    show_rows(tokens, ["name", "id", "created_at", "revoked_at"], output)
    if not tokens:
        typer.echo("there is no token yet; `reelmill tokens create NAME` makes one", err=True)


@tokens_app.command("revoke")
def revoke_token(name: NameArgument, master: MasterOption = None) -> None:
    """Let no worker join with the token, and believe those no more that did; their jobs run again elsewhere."""
    call_master(master, lambda client: client.delete(token_path(name)))
    typer.echo(f"{name} is revoked")
