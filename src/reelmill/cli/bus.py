"""`reelmill bus`: the NATS of a fleet that is not started by `reelmill up --fleet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reelmill.cli.farm_options import DataOption, StoreOption

if TYPE_CHECKING:
    from reelmill.settings import Settings

bus_app = typer.Typer(help="The NATS between masters and workers.", no_args_is_help=True, rich_markup_mode=None)


@bus_app.command("config")
def config(
    store: StoreOption = None,
    data: DataOption = None,
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="Where the server shall listen.")
    ] = "127.0.0.1:4222",
) -> None:
    """Print the configuration of a nats-server (2.11 or newer) for the farm with that store.

    Masters come with the password of REELMILL_BUS when that is set; else one is drawn, and their URL goes to stderr.
    All servers of a cluster need the same; what else a cluster and TLS need is in deploy/nats.
    """
    import asyncio

    from reelmill.logs import configure_logs
    from reelmill.settings import load_settings

    configure_logs()
    asyncio.run(_print(load_settings({"store": store, "data": data}), listen))


async def _print(settings: Settings, listen: str) -> None:
    import secrets

    from reelmill.bus.server_config import MASTER_USER, server_config
    from reelmill.cli.farm import open_store
    from reelmill.cli.fleet import issuer_of, read_bus
    from reelmill.errors import SettingsError
    from reelmill.service import running

    known = read_bus(settings.bus) if settings.bus else None
    if known is not None and known.user != MASTER_USER:
        raise SettingsError(f"bus: masters come as {MASTER_USER!r}, not as {known.user[:80]!r}; mend the URL")
    if not settings.store:
        settings.data.mkdir(parents=True, exist_ok=True)
    store = open_store(settings)
    async with running(store):
        issuer = await issuer_of(store)
    password = known.password if known is not None else secrets.token_urlsafe(24)
    typer.echo(server_config(listen, issuer.public, password, None), nl=False)
    if known is None:
        typer.echo(f"masters use: REELMILL_BUS='nats://{MASTER_USER}:{password}@{listen}'", err=True)
