"""Cancelling a launch, however large: the master goes on when a request for it times out, so it is watched."""

from __future__ import annotations

import asyncio

from reelmill.errors import Unavailable
from reelmill.launcher.answers import LaunchState
from reelmill.launcher.client import MasterClient
from reelmill.launcher.progress import Display

POLL_SECONDS = 0.5


async def cancel_launch(client: MasterClient, path: str, display: Display, *, every: float = POLL_SECONDS) -> int:
    """Cancel every open job of the launch at ``path``; how many that were. Safe to repeat, and repeated if need be."""
    before = await client.get(path, LaunchState)
    state = before
    with display.bar("canceling", before.open) as bar:
        while True:
            last_open = state.open
            request = asyncio.create_task(client.post(f"{path}/cancel"))
            try:
                while not request.done():
                    await asyncio.wait([request], timeout=every)
                    state = await client.get(path, LaunchState, patience=30)
                    bar.show(max(before.open - state.open, 0))
                await request
                break
            except Unavailable:
                state = await client.get(path, LaunchState, patience=30)
                if state.open >= last_open:  # neither an answer nor any progress
                    raise
            finally:
                request.cancel()
                await asyncio.gather(request, return_exceptions=True)
    state = await client.get(path, LaunchState, patience=30)
    return max(state.counts.get("canceled", 0) - before.counts.get("canceled", 0), 0)
