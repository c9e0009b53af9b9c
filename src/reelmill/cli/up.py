"""`reelmill up`: a whole farm on this machine, with nothing to install."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reelmill import __version__
from reelmill.errors import StartupError, StoreUnavailable

if TYPE_CHECKING:
    from reelmill.cli.farm import RunningFarm
    from reelmill.settings import Settings
    from reelmill.worker.inventory import Inventory


def up(
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="PostgreSQL to use.", show_default="a SQLite file in --data")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of the API; 0 takes a free one.", show_default="8080")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the database.", show_default="~/.local/share/reelmill"),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder that jobs may read from and write to.", show_default="the current folder"
        ),
    ] = None,
    slots: Annotated[
        int | None, typer.Option(metavar="N", help="CPU units to use.", show_default="one per core")
    ] = None,
    reserve_live: Annotated[
        int | None, typer.Option(metavar="N", help="CPU units kept free for the live queue.", show_default="0")
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long to keep ended jobs: 12h, 30d, forever.", show_default="30d"),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Label of this node, for jobs that ask for it; several times."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
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
        "retention": retention,
    }
    configure_logs(verbose=verbose)
    uvloop.run(_serve(load_settings(flags)))


def _refuse_second_farm(settings: Settings) -> None:
    from reelmill.cli.neighbour import find_farm, why_taken

    other = find_farm(settings) if why_taken(settings) is not None else None
    if other is not None:
        use = "use it as it is, or stop it (Ctrl-C where it runs)"
        own = "another one needs a --port and a --data of its own"
        raise StartupError(f"a reelmill {other.version} farm already runs at {other.url}: {use}; {own}")


async def _serve(settings: Settings) -> None:
    from reelmill.cli.farm import run_farm, stop_signals
    from reelmill.worker.inventory import discover

    _refuse_second_farm(settings)
    inventory = await discover(settings.slots, settings.labels)
    wanted = asyncio.Event()
    urgent = asyncio.Event()

    def on_signal(count: int) -> None:
        (wanted if count == 1 else urgent).set()

    with stop_signals(on_signal):
        async with run_farm(settings, inventory) as farm:
            _announce(settings, inventory, farm)
            await _until(wanted.wait(), farm.store.failed)
            if farm.store.failed.done():
                raise StoreUnavailable(farm.store.failed.result())
            if farm.worker.running_jobs:
                jobs = "1 running job" if farm.worker.running_jobs == 1 else f"{farm.worker.running_jobs} running jobs"
                _say(f"finishing {jobs}; Ctrl-C again gives them back to the queue")
            await _until(farm.worker.drain(), urgent.wait(), farm.store.failed)
    _say("stopped")


async def _until(*awaitables: Awaitable[object]) -> None:
    """Return when the first of them is done; the waiting for the others ends."""
    futures = [asyncio.ensure_future(_wait(awaitable)) for awaitable in awaitables]
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in futures:
        if not future.done():
            future.cancel()


async def _wait(awaitable: Awaitable[object]) -> None:
    # a future is shared with others: it must not be cancelled with the waiting for it
    await (asyncio.shield(awaitable) if isinstance(awaitable, asyncio.Future) else awaitable)


def _announce(settings: Settings, inventory: Inventory, farm: RunningFarm) -> None:
    codecs = ", ".join(inventory.encoders) or "none: `reelmill doctor` says why"
    _tell(f"reelmill {__version__} is up: {farm.master.url}")
    _say(f"  cores     {farm.worker.node.capabilities.units} units")
    _say(f"  ffmpeg    {inventory.ffmpeg.version} ({inventory.ffmpeg.path})")
    _say(f"  encoders  {codecs}")
    _say(f"  media     {settings.media}")
    _say(f"  database  {'PostgreSQL' if settings.store else settings.data / 'farm.db'}")
    kept = "forever" if settings.retention_seconds is None else f"{settings.retention} behind their end"
    _say(f"  retention jobs are kept {kept}")
    _say(f"Launch jobs with `reelmill launch`, watch them at {farm.master.url}, stop with Ctrl-C.")


def _tell(line: str) -> None:
    try:
        typer.echo(line)
    except OSError:  # the farm goes on without words, and ends without an error of theirs
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk, say: the farm goes on without words
        typer.echo(line, err=True)
