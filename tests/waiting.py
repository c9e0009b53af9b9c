"""Waiting for something to become true, with a limit, and with the last state in the failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_until(
    look: Callable[[], Awaitable[T]], is_right: Callable[[T], bool], *, seconds: float = 10.0, every: float = 0.02
) -> T:
    """What ``look`` returned once it was right; AssertionError with the last state after ``seconds``."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + seconds
    while True:
        seen = await look()
        if is_right(seen):
            return seen
        if loop.time() >= limit:
            raise AssertionError(f"not true within {seconds:g} s; last seen: {seen!r}")
        await asyncio.sleep(every)
