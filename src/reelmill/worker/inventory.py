"""What this machine can run: which ffmpeg, which encoders work in it (tried, not read from a list), how many cores."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from reelmill.domain.capability import CODECS, Capabilities
from reelmill.domain.scenario import CATALOGUE, OPTIONS, Scenario
from reelmill.errors import StartupError
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_encoders import ENCODERS
from reelmill.worker.machine import find_program, usable_cores, usable_memory
from reelmill.worker.process import EngineProcess, environment
from reelmill.worker.shortage import find_memory_shortage

FFMPEG_VARIABLE = "REELMILL_FFMPEG"
_TRIAL_SECONDS = 10.0
_ASK_SECONDS = 10.0
_VERSION_LINE = re.compile(r"ffmpeg version (\S+)")
_VERSION = re.compile(r"n?(\d+)\.(\d+)(?:\.(\d+))?")


class Ffmpeg(msgspec.Struct, frozen=True):
    """An ffmpeg that answers: its absolute path and its own words for its version."""

    path: Path
    version: str


class Trial(msgspec.Struct, frozen=True):
    """One encoder tried; ``error`` is None when it works, else why not."""

    codec: str
    encoder: str
    error: str | None

    @property
    def ok(self) -> bool:
        return self.error is None


class Inventory(msgspec.Struct, frozen=True):
    """What was found on this machine. ``encoders`` maps each codec that works to its encoder, for ``FfmpegEngine``."""

    capabilities: Capabilities
    ffmpeg: Ffmpeg
    encoders: dict[str, str]
    trials: list[Trial]
    shortage: str | None = None
    """Why not all of the machine's cores are used."""

    def engine(self) -> FfmpegEngine:
        """The engine that runs this ffmpeg."""
        return FfmpegEngine(self.ffmpeg.path, self.encoders)


def find_ffmpeg() -> Ffmpeg:
    """REELMILL_FFMPEG if set, else the newer of the bundled and the system's ffmpeg; StartupError when none works.

    Blocks for some 20 ms: each candidate is asked for its version.
    """
    chosen = os.environ.get(FFMPEG_VARIABLE)
    if chosen:
        found = _ask(Path(shutil.which(chosen) or chosen))
        if found is None:
            raise StartupError(f"{FFMPEG_VARIABLE}={chosen} is not an ffmpeg that runs; set it to one, or unset it")
        return found
    candidates = [found for path in _candidates() if (found := _ask(path)) is not None]
    if not candidates:
        raise StartupError(
            f"no ffmpeg was found; install one (`apt install ffmpeg`), or set {FFMPEG_VARIABLE} to its path"
        )
    return max(candidates, key=lambda candidate: version_key(candidate.version))  # of equals, the first: the bundled


def version_key(version: str) -> tuple[int, ...]:
    """``n7.1.1-3+b1`` as ``(7, 1, 1)``, to compare; a version without numbers (a nightly build) is older than all."""
    match = _VERSION.match(version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


async def discover(slots: int | None = None, labels: Mapping[str, str] | None = None) -> Inventory:
    """Look at this machine, in well under a second; StartupError when it has no ffmpeg.

    ``slots`` replaces the number of cores, ``labels`` are what the operator says of the machine.
    """
    ffmpeg = await asyncio.to_thread(find_ffmpeg)
    wanted = [(codec, encoder) for codec in CODECS for encoder in ENCODERS[codec]]
    trials = await asyncio.gather(*(_try(ffmpeg.path, codec, encoder) for codec, encoder in wanted))
    encoders: dict[str, str] = {}
    for trial in trials:
        if trial.ok:
            encoders.setdefault(trial.codec, trial.encoder)
    units, shortage = _count_units() if slots is None else (max(1, slots), None)
    engines = {"ffmpeg": list(encoders)} if encoders else {}
    features = {"ffmpeg": [OPTIONS]} if encoders else {}
    capabilities = Capabilities(units, engines, dict(labels or {}), features=features)
    return Inventory(capabilities, ffmpeg, encoders, list(trials), shortage)


def _count_units() -> tuple[int, str | None]:
    cores = usable_cores()
    shortage = find_memory_shortage(cores, usable_memory())
    return (cores, None) if shortage is None else shortage


def _candidates() -> Iterator[Path]:
    try:
        import imageio_ffmpeg  # pyright: ignore[reportMissingTypeStubs]  # a heavy import that only this function needs

        yield Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # a platform for which it brings no binary
        pass
    system = find_program("ffmpeg")
    if system is not None:
        yield system


def _ask(path: Path) -> Ffmpeg | None:
    path = path.absolute()
    try:
        answer = subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=_ASK_SECONDS, env=environment(), check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    match = _VERSION_LINE.match(answer.stdout)
    return Ffmpeg(path, match[1]) if match and answer.returncode == 0 else None


async def _try(path: Path, codec: str, encoder: str) -> Trial:
    """Encode a moment with the very options that jobs use: an encoder that lacks one of them is no use."""
    plan = _trial_plan(codec)
    engine = FfmpegEngine(path, {codec: encoder})
    try:
        end = await EngineProcess(engine.command(plan), timeout=_TRIAL_SECONDS).run()
    except AttemptFailed as failed:
        return Trial(codec, encoder, failed.failure.message)
    if end.code == 0:
        return Trial(codec, encoder, None)
    return Trial(codec, encoder, (end.failure or engine.explain(end.code, end.stderr, plan)).message)


def _trial_plan(codec: str) -> EncodePlan:
    preset = next(scenario.preset for scenario in CATALOGUE.values() if scenario.codec == codec)
    scenario = Scenario("trial", 64, 64, 10, codec, 100_000, 100_000, preset, 1)
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
