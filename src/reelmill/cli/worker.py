"""`reelmill worker`: runs jobs of a farm that is on another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reelmill import __version__
from reelmill.cli.farm_options import (
    DataOption,
    LabelOption,
    PricePerHourOption,
    PricePerKwhOption,
    ReserveLiveOption,
    SessionsOption,
    SlotsOption,
    VerboseOption,
)
from reelmill.errors import Forbidden, SettingsError

if TYPE_CHECKING:
    from reelmill.settings import Settings

_ADVICE = "its jobs are ended, and run again elsewhere; `reelmill tokens create NAME` makes one with which it may join"


def worker(
    join: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="reelmill://TOKEN@HOST:4222, as a farm shows it.", show_default="REELMILL_JOIN"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of this node.", show_default="this machine's name")
    ] = None,
    media: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="The masters' media folder, when it is shared with this machine.",
            show_default="none: media come over HTTP",
        ),
    ] = None,
    data: DataOption = None,
    slots: SlotsOption = None,
    reserve_live: ReserveLiveOption = None,
    label: LabelOption = None,
    hardware_sessions: SessionsOption = None,
    price_per_hour: PricePerHourOption = None,
    price_per_kwh: PricePerKwhOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Join a farm as a worker; only outgoing connections are made.

    Ctrl-C (or SIGTERM) lets the running jobs finish; a second one gives them back to the queue and ends at once.
    """
    import uvloop

    from reelmill.domain.label import parse_labels
    from reelmill.logs import configure_logs
    from reelmill.settings import load_settings

    flags = {"join": join, "node_name": name, "media": media, "data": data, "slots": slots}
    prices = {"price_per_hour": price_per_hour, "price_per_kwh": price_per_kwh}
    labels = None if label is None else parse_labels("--label", label)
    configure_logs(verbose=verbose)
    settings = load_settings(
        {**flags, **prices, "reserve_live": reserve_live, "labels": labels, "hardware_sessions": hardware_sessions}
    )
    if settings.media_store:
        raise SettingsError("a worker is told of no object store: the masters tell it; leave --media out")
    if not settings.join:
        advice = "`reelmill up --fleet` and `reelmill tokens create NAME` show one"
        raise SettingsError(f"which farm? Give --join URL or REELMILL_JOIN; {advice}")
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from reelmill.cli.fleet import run_worker
    from reelmill.cli.service_manager import READY, tell_manager, watched
    from reelmill.cli.serving import say, say_inventory, serve_worker, stop_events, tell, until
    from reelmill.worker.inventory import discover

    inventory = await discover(settings.slots, settings.labels)
    with stop_events() as stop:
        async with watched(), run_worker(settings, inventory) as joined:
            name = joined.worker.node.name
            tell_manager(f"joined as {name}", READY)
            tell(f"reelmill {__version__} worker {name} has joined")
            say_inventory(settings.media, inventory, joined.worker)
            await until(serve_worker(joined.worker, stop), joined.refused.wait())
            if joined.refused.is_set():
                raise Forbidden(f"the token with which {name} joined is revoked: {_ADVICE}")
    say("stopped")
