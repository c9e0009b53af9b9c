"""`reelmill master`: the API, the live page and the scheduler of a fleet, without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reelmill import __version__
from reelmill.cli.farm_options import (
    DataOption,
    HostOption,
    MediaOption,
    PortOption,
    RetentionOption,
    StoreOption,
    VerboseOption,
)
from reelmill.errors import SettingsError, StoreUnavailable

if TYPE_CHECKING:
    from reelmill.settings import Settings


def master(
    bus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The bus, nats://master:PASSWORD@HOST:4222.", show_default="REELMILL_BUS"),
    ] = None,
    store: StoreOption = None,
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    media: MediaOption = None,
    retention: RetentionOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Start a master of a fleet: any number of them share one PostgreSQL and one NATS.

    `reelmill bus config` sets the NATS up; `reelmill tokens create` lets workers join. Ctrl-C (or SIGTERM) stops it.
    """
    import uvloop

    from reelmill.logs import configure_logs
    from reelmill.settings import load_settings

    flags = {"bus": bus, "store": store, "host": host, "port": port, "data": data, "media": media}
    configure_logs(verbose=verbose)
    settings = load_settings({**flags, "retention": retention})
    if not settings.bus:
        raise SettingsError("a master needs a bus: give --bus URL or REELMILL_BUS, or type `reelmill up --fleet`")
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from reelmill.cli.fleet import run_master
    from reelmill.cli.service_manager import READY, STOPPING, tell_manager, watched
    from reelmill.cli.serving import say, stop_events, tell, until

    with stop_events() as stop:
        async with watched(), run_master(settings) as running:
            tell_manager(f"up: {running.master.url}", READY)
            tell(f"reelmill {__version__} master is up: {running.master.url}")
            say(f"  media     {settings.media_store or settings.media_folder}")
            say(f"  database  {running.store.place}")
            await until(stop.wanted.wait(), running.store.failed)
            if running.store.failed.done():
                raise StoreUnavailable(running.store.failed.result())
            tell_manager("stopping", STOPPING)
    say("stopped")
