"""What commands that go on until they are stopped have in common: signals, draining, and their words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Generator
from pathlib import Path
from typing import NamedTuple

import typer

from reelmill.cli.service_manager import STOPPING, tell_manager
from reelmill.errors import StoreUnavailable
from reelmill.worker.agent import Worker
from reelmill.worker.inventory import Inventory

_URGENT_SECONDS = 15.0
"""So long an urgent stop may take: it gives jobs back over a bus that may not answer. Leases do the rest."""


class Stop(NamedTuple):
    """``wanted`` is set by the first SIGINT or SIGTERM, ``urgent`` by the second."""

    wanted: asyncio.Event
    urgent: asyncio.Event


@contextlib.contextmanager
def stop_events() -> Generator[Stop, None, None]:
    """Signals set these events for the length of the block, instead of ending the program.

    Whatever the block waits for, the process is gone 15 seconds behind the second signal, and at once with the third.
    """
    loop = asyncio.get_running_loop()
    stop = Stop(asyncio.Event(), asyncio.Event())
    patience: asyncio.TimerHandle | None = None

    def hear() -> None:
        nonlocal patience
        if patience is not None:
            _break_off()
        elif stop.wanted.is_set():
            stop.urgent.set()
            patience = loop.call_later(_URGENT_SECONDS, _break_off)
        else:
            stop.wanted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    try:
        yield stop
    finally:
        if patience is not None:
            patience.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _break_off() -> None:
    """End as `kill -9` does, which costs no job: its engines die with this process, and leases give back the rest."""
    say("ends at once; what it held runs again when its leases end")
    os._exit(1)


async def serve_worker(worker: Worker, stop: Stop, failed: asyncio.Future[str] | None = None) -> None:
    """Until a stop is wanted, then until the worker is empty or it gets urgent; StoreUnavailable once ``failed``."""
    lost = [failed] if failed is not None else []
    await until(stop.wanted.wait(), *lost)
    if failed is not None and failed.done():
        raise StoreUnavailable(failed.result())
    jobs = "1 running job" if worker.running_jobs == 1 else f"{worker.running_jobs} running jobs"
    tell_manager(f"finishing {jobs}", STOPPING)
    if worker.running_jobs:
        say(f"finishing {jobs}; Ctrl-C again gives them back to the queue")
    await until(worker.drain(), stop.urgent.wait(), *lost)


async def until(*awaitables: Awaitable[object]) -> None:
    """Return when the first of them is done; the waiting for the others ends."""
    futures = [asyncio.ensure_future(_wait(awaitable)) for awaitable in awaitables]
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in futures:
        if not future.done():
            future.cancel()


async def _wait(awaitable: Awaitable[object]) -> None:
    # a future is shared with others: it must not be cancelled with the waiting for it
    await (asyncio.shield(awaitable) if isinstance(awaitable, asyncio.Future) else awaitable)


def say_inventory(media: Path | str | None, inventory: Inventory, worker: Worker) -> None:
    """What the worker has to work with."""
    codecs = ", ".join(inventory.encoders) or "none: `reelmill doctor` says why"
    say(f"  cores     {worker.node.capabilities.units} units")
    say(f"  ffmpeg    {inventory.ffmpeg.version} ({inventory.ffmpeg.path})")
    if inventory.gstreamer is not None and inventory.gstreamer.encoders:
        say(f"  gstreamer {inventory.gstreamer.version} ({inventory.gstreamer.path})")
    say(f"  encoders  {codecs}")
    say(f"  media     {media or 'over HTTP from the masters; --media FOLDER uses a folder that is shared with them'}")


def tell(line: str) -> None:
    """Data, on stdout."""
    try:
        typer.echo(line)
    except OSError:  # the farm goes on without words, and ends without an error of theirs
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(line: str) -> None:
    """Words, on stderr."""
    with contextlib.suppress(OSError):  # on a full disk, say: the farm goes on without words
        typer.echo(line, err=True)
