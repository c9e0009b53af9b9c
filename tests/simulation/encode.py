"""Engines that take time and fail by seed, without a process or a codec; all around them is the real attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.chunk import Chunk
from reelmill.domain.job import Parameters, Result
from reelmill.media.durable import hash_and_sync
from reelmill.worker.attempt import Attempt
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.process import Ending, Exit
from tests.simulation.loop import current_process

if TYPE_CHECKING:
    from tests.simulation.world import World

Fate = Literal["good", "bad", "flaky", "long", "poison"]
FATES: dict[Fate, int] = {"good": 60, "bad": 8, "flaky": 14, "long": 14, "poison": 4}
"""What becomes of a job when nothing else happens to it, and how often: each attempt at a bad one says that its input
is bad, a flaky one fails now and then, a long one takes longer than its lease, poison kills its worker each time."""

_INSTANT = 1e-6
"""Seconds too short for the clock of the loop to move by."""

_SAYS: dict[str, tuple[int, str, Ending]] = {
    "input": (183, "in.mp4: Invalid data found when processing input", "exited"),
    "disk": (228, "av_interleaved_write_frame(): No space left on device", "exited"),
    "hangs": (-9, "", "hung"),
    "folder": (254, "Error opening output: No such file or directory", "exited"),
    "well": (0, "", "exited"),
}


PIECES = tuple(
    Chunk(index=index, start=100 * index, end=100 * (index + 1) if index < 2 else None, seek=3.0 * index, seconds=3.0)
    for index in range(3)
)
FILM = MediaInfo(
    container="mp4", duration=9.0, codec="h264", width=640, height=360, fps=30.0, video_duration=9.0, frames=100
)
"""The input of every job that is encoded in chunks, and what is encoded of each of them."""


class SimulatedProbe:
    """Every file is the film, whose pieces are always the same."""

    def __init__(self, **_how: object) -> None:
        pass

    async def probe(self, _path: Path, *, count_frames: bool = False) -> MediaInfo:
        """Nothing is opened."""
        return FILM

    async def cut(self, _path: Path, _cutting: object) -> tuple[Chunk, ...]:
        """Where the film is cut."""
        return PIECES

    async def start(self) -> None:
        """Nothing to prepare."""

    async def stop(self) -> None:
        """Nothing is left."""


class SimulatedEngine:
    """Stands for `EngineProcess`: encodes for a while, looked at once a second, and writes its attempt's name."""

    def __init__(self, world: World, argv: Sequence[str], **_how: Any) -> None:
        self._world = world
        self._output = Path(argv[-1].removeprefix("file:"))
        job_id, _, attempt = self._output.parent.name.rpartition(".")
        self.key = AttemptKey(job_id, int(attempt))
        self.process = current_process()
        self.is_paused = False
        self.valid_at = world.loop.time()
        """When the store last renewed what it knows of the attempt, on the loop's clock."""
        self.lease_until: float | None = None
        self.stretch = 1.0

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    async def run(self) -> Exit:
        world, rng = self._world, self._world.rng
        fate = world.fate(self.key.job_id)
        seconds = rng.uniform(15, 40) if fate == "long" else rng.uniform(0.2, 10)
        world.engines.add(self)
        try:
            left = seconds
            while left > _INSTANT:
                began = world.loop.time()
                await asyncio.sleep(min(1.0, left))
                world.look_at(self)
                left -= 0 if self.is_paused else world.loop.time() - began  # it goes on while its worker is frozen
                if fate == "poison" and left < seconds / 2:
                    world.crash(self.process)
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            world.look_at_end(self)
            raise
        finally:
            world.engines.discard(self)
        if not self._output.parent.exists():  # it is garbage by now: the attempt was over long ago
            return _exit("folder", seconds)
        ends = "input" if fate == "bad" else rng.choice(["disk", "hangs", None, None]) if fate == "flaky" else None
        if ends is not None:
            return _exit(ends, seconds)
        self._output.write_text(content(self.key))
        return _exit("well", seconds)


class SimulatedAttempt(Attempt):
    """The real one, but its output is believed to be what was asked for, and no input is read."""

    async def _look_at_input(self, parameters: Parameters) -> tuple[MediaInfo | None, Path | None]:
        return (None, None) if parameters.input is None else (FILM, Path("/film.mp4"))

    async def _verify(self, plan: EncodePlan, ended: Exit, target: str) -> Result:
        sha256, size = await asyncio.to_thread(hash_and_sync, plan.output_path)
        return Result(
            output=target,
            size_bytes=size,
            sha256=sha256,
            container=plan.container,
            codec=plan.scenario.codec,
            width=plan.width,
            height=plan.height,
            fps=30.0,
            duration=plan.duration,
            frames=1,
            audio_codec=None,
            engine=self.grant.engine,
            encode_seconds=ended.wall_seconds,
            cpu_seconds=ended.cpu_seconds,
            speed=1.0,
        )


def _exit(how: str, seconds: float) -> Exit:
    code, stderr, ending = _SAYS[how]
    return Exit(code=code, stderr=stderr, cpu_seconds=0.1, wall_seconds=seconds, ending=ending)


def content(key: AttemptKey) -> str:
    """What the output of an attempt holds."""
    return f"{key.job_id}.{key.attempt}"
