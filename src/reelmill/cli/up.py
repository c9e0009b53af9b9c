"""`reelmill up`: a whole farm on this machine, with nothing to install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reelmill import __version__
from reelmill.cli.farm_options import (
    DataOption,
    HostOption,
    LabelOption,
    MediaOption,
    PortOption,
    PricePerHourOption,
    PricePerKwhOption,
    ReserveLiveOption,
    RetentionOption,
    SessionsOption,
    SlotsOption,
    StoreOption,
    VerboseOption,
)
from reelmill.errors import StartupError

if TYPE_CHECKING:
    from reelmill.master.master import Master
    from reelmill.settings import Settings
    from reelmill.worker.agent import Worker
    from reelmill.worker.inventory import Inventory


def up(
    store: StoreOption = None,
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    media: MediaOption = None,
    slots: SlotsOption = None,
    reserve_live: ReserveLiveOption = None,
    retention: RetentionOption = None,
    label: LabelOption = None,
    hardware_sessions: SessionsOption = None,
    price_per_hour: PricePerHourOption = None,
    price_per_kwh: PricePerKwhOption = None,
    fleet: Annotated[bool, typer.Option("--fleet", help="Let workers on other machines join; says how.")] = False,
    bus_host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --fleet: where workers join.", show_default="127.0.0.1"),
    ] = None,
    bus_port: Annotated[
        int | None, typer.Option(metavar="N", help="With --fleet: the port for that.", show_default="4222")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Start a farm on this machine: API, live page, scheduler and one worker.

    Ctrl-C (or SIGTERM) lets the running jobs finish; a second one gives them back to the queue and ends at once.
    """
    import uvloop

    from reelmill.domain.label import parse_labels
    from reelmill.logs import configure_logs
    from reelmill.settings import load_settings

    flags = {
        "store": store,
        "host": host,
        "port": port,
        "data": data,
        "media": media,
        "slots": slots,
        "reserve_live": reserve_live,
        "labels": None if label is None else parse_labels("--label", label),
        "hardware_sessions": hardware_sessions,
        "price_per_hour": price_per_hour,
        "price_per_kwh": price_per_kwh,
        "retention": retention,
        "bus_host": bus_host,
        "bus_port": bus_port,
    }
    configure_logs(verbose=verbose)
    uvloop.run(_serve(load_settings(flags), fleet=fleet))


def _refuse_second_farm(settings: Settings) -> None:
    from reelmill.cli.neighbour import find_farm, why_taken

    other = find_farm(settings) if why_taken(settings.host, settings.port) is not None else None
    if other is not None:
        use = "use it as it is, or stop it (Ctrl-C where it runs)"
        own = "another one needs a --port and a --data of its own"
        raise StartupError(f"a reelmill {other.version} farm already runs at {other.url}: {use}; {own}")


async def _serve(settings: Settings, *, fleet: bool) -> None:
    from reelmill.cli.farm import run_farm
    from reelmill.cli.service_manager import watched
    from reelmill.cli.serving import say, serve_worker, stop_events, tell
    from reelmill.worker.inventory import discover

    _refuse_second_farm(settings)
    inventory = await discover(settings.slots, settings.labels)
    with stop_events() as stop:
        if fleet:
            from reelmill.cli.fleet import run_fleet

            async with watched(), run_fleet(settings, inventory) as running:
                _announce(settings, inventory, running.worker, running.master)
                say("Workers on other machines join this farm with:")
                tell(f"  reelmill worker --join {running.join.text}")
                if running.is_local:
                    advice = "start with --bus-host 0.0.0.0 and --host 0.0.0.0, or this machine's address"
                    say(f"  but only from this machine, as {settings.bus_host} is: to let others in, {advice}")
                await serve_worker(running.worker, stop, running.store.failed)
        else:
            async with watched(), run_farm(settings, inventory) as farm:
                _announce(settings, inventory, farm.worker, farm.master)
                await serve_worker(farm.worker, stop, farm.store.failed)
    say("stopped")


def _announce(settings: Settings, inventory: Inventory, worker: Worker, master: Master) -> None:
    from reelmill.cli.service_manager import READY, tell_manager
    from reelmill.cli.serving import say, say_inventory, tell

    tell_manager(f"up: {master.url}", READY)
    tell(f"reelmill {__version__} is up: {master.url}")
    say_inventory(settings.media_store or settings.media_folder, inventory, worker)
    say(f"  database  {'PostgreSQL' if settings.store else settings.data / 'farm.db'}")
    kept = "forever" if settings.retention_seconds is None else f"{settings.retention} behind their end"
    say(f"  retention jobs are kept {kept}")
    say(f"Launch jobs with `reelmill launch`, watch them at {master.url}, stop with Ctrl-C.")
