"""`reelmill worker`: runs jobs of a farm that is on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reelmill import __version__
from reelmill.cli.farm_options import (
    DataOption,
    LabelOption,
    ReserveLiveOption,
    SlotsOption,
    VerboseOption,
)
from reelmill.errors import SettingsError

if TYPE_CHECKING:
    from reelmill.settings import Settings


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
        Path | None,
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
    labels = None if label is None else parse_labels("--label", label)
    configure_logs(verbose=verbose)
    settings = load_settings({**flags, "reserve_live": reserve_live, "labels": labels})
    if not settings.join:
        advice = "`reelmill up --fleet` and `reelmill tokens create NAME` show one"
        raise SettingsError(f"which farm? Give --join URL or REELMILL_JOIN; {advice}")
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from reelmill.cli.fleet import run_worker
    from reelmill.cli.service_manager import READY, tell_manager, watched
    from reelmill.cli.serving import say, say_inventory, serve_worker, stop_events, tell
    from reelmill.worker.inventory import discover

    inventory = await discover(settings.slots, settings.labels)
    with stop_events() as stop:
        async with watched(), run_worker(settings, inventory) as running:
            tell_manager(f"joined as {running.node.name}", READY)
            tell(f"reelmill {__version__} worker {running.node.name} has joined")
            say_inventory(settings.media, inventory, running)
            await serve_worker(running, stop)
    say("stopped")
