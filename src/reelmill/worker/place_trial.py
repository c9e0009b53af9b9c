"""The trial of a worker's place: read what a master has put there, and leave something for it to read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable

import structlog

from reelmill.domain.place import PlaceCheck, PlaceTrial, TrialStep
from reelmill.errors import ReelmillError
from reelmill.media.check_file import CHECK_BYTES
from reelmill.worker.depot import Depot

log = structlog.get_logger()


async def try_place(depot: Depot, check: PlaceCheck) -> PlaceTrial:
    """What comes of it, in the time that the check gives: each half has half of it, and one that hangs is told so."""
    limit = check.seconds / 2
    left = os.urandom(CHECK_BYTES)

    async def write() -> bytes:
        await depot.try_write(check, left)
        return left

    read = await _step(depot.try_read(check), limit)
    return PlaceTrial(depot.place(check), read, await _step(write(), limit))


async def _step(deed: Awaitable[bytes], limit: float) -> TrialStep:
    began = time.monotonic()
    content, fault = b"", None
    try:
        async with asyncio.timeout(limit):
            content = await deed
    except TimeoutError:
        fault = f"not done within {limit:g} seconds; look at the share or the network between"
    except ReelmillError as error:
        fault = str(error)
    except Exception:  # whatever it is, a worker that says nothing looks like one that does not know how
        log.exception("place_trial_failed")
        fault = "reelmill itself failed at it; the worker's log has the details"
    seconds = round(time.monotonic() - began, 3)
    return TrialStep(None if fault else hashlib.sha256(content).hexdigest(), seconds, fault)
