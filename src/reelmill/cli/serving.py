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


class Stop(NamedTuple):
    """``wanted`` is set by the first SIGINT or SIGTERM, ``urgent`` by the second."""

    wanted: asyncio.Event
    urgent: asyncio.Event


@contextlib.contextmanager
def stop_events() -> Generator[Stop, None, None]:
    """Signals set these events for the length of the block, instead of ending the program."""
    loop = asyncio.get_running_loop()
    stop = Stop(asyncio.Event(), asyncio.Event())

    def hear() -> None:
        (stop.urgent if stop.wanted.is_set() else stop.wanted).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


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
