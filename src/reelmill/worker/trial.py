"""A trial encode: whether an encoder works here, with the very options that jobs use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelmill.domain.encoder import is_hardware
from reelmill.domain.scenario import Scenario, usual_preset
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, Engine
from reelmill.worker.process import EngineProcess

_TRIAL_SECONDS = 10.0
_AT_ONCE = 4
"""Each trial has several files open, of which a process may be allowed only 50."""
_SIDE, _HARDWARE_SIDE = 64, 256  # hardware refuses very small pictures


class Trial(msgspec.Struct, frozen=True):
    """One encoder of an engine tried; ``error`` is None when it works, else why not."""

    codec: str
    encoder: str
    error: str | None
    engine: str = "ffmpeg"

    @property
    def ok(self) -> bool:
        return self.error is None


async def try_each(engines: Sequence[tuple[Engine, str, str]]) -> list[Trial]:
    """Encode a moment with each engine, which has one encoder for one codec: engine, codec, encoder."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def with_room(engine: Engine, codec: str, encoder: str) -> Trial:
        async with room:
            return await _try(engine, codec, encoder)

    return await asyncio.gather(*(with_room(*one) for one in engines))


async def _try(engine: Engine, codec: str, encoder: str) -> Trial:
    plan = _trial_plan(codec, _HARDWARE_SIDE if is_hardware(encoder) else _SIDE)
    try:
        end = await EngineProcess(engine.command(plan), timeout=_TRIAL_SECONDS).run()
    except AttemptFailed as failed:
        return Trial(codec, encoder, failed.failure.message, engine.name)
    if end.code == 0:
        return Trial(codec, encoder, None, engine.name)
    error = (end.failure or engine.explain(end.code, end.stderr, plan)).message
    return Trial(codec, encoder, error, engine.name)


def working_encoders(trials: Sequence[Trial]) -> dict[str, str]:
    """For each codec the first of its encoders that works."""
    working: dict[str, str] = {}
    for trial in trials:
        if trial.ok:
            working.setdefault(trial.codec, trial.encoder)
    return working


def _trial_plan(codec: str, side: int) -> EncodePlan:
    scenario = Scenario("trial", side, side, 10, codec, 100_000, 100_000, usual_preset(codec), 1)
    return EncodePlan(
        scenario=scenario,
        source=None,
        input_path=None,
        output_path=Path("/dev/null"),
        width=scenario.width,
        height=scenario.height,
        duration=0.1,
        video_duration=0.1,
        limit=None,
        bitrate=scenario.bitrate_default,
        threads=1,
        fps=scenario.fps,
        container="matroska",  # mp4 is written twice, which /dev/null does not take
    )
