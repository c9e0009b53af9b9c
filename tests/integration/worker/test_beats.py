"""How often a worker beats."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import BEAT, Beat
from reelmill.domain.attempt import BeatAnswer
from reelmill.domain.capability import Capabilities
from reelmill.service import running
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import Ffmpeg, Inventory

_PAUSE = 0.3


async def test_a_worker_beats_as_rarely_as_a_master_says(tmp_path: Path) -> None:
    """By itself it would beat every 10 ms."""
    bus, came_at, enough = MemoryBus(), list[float](), asyncio.Event()

    async def answer(_beat: Beat) -> BeatAnswer:
        came_at.append(asyncio.get_running_loop().time())
        if len(came_at) == 4:
            enough.set()
        return BeatAnswer(lease_seconds=30, renewed=[], drop=[], publish=[], paused=[], pause_seconds=_PAUSE)

    inventory = Inventory(Capabilities(1, {"ffmpeg": ["h264"]}), Ffmpeg(Path(sys.executable), "none"), {}, [])
    worker = Worker(bus, inventory, SharedFolder(tmp_path), name="mill", beat_seconds=0.01)
    await BEAT.answer(bus, answer)
    async with running(worker):
        async with asyncio.timeout(20):
            await enough.wait()

    pauses = [later - earlier for earlier, later in itertools.pairwise(came_at[1:4])]
    assert min(pauses) >= _PAUSE, pauses
