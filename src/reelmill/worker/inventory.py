"""What this machine can run: which engines, which encoders work in them (tried, not read from a list), and cores."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from reelmill.domain import thumbnails
from reelmill.domain.capability import BY_NAME, CODECS, Capabilities, reading_feature
from reelmill.domain.encoder import HARDWARE, SOFTWARE
from reelmill.domain.scenario import LADDER, OPTIONS
from reelmill.domain.stream_url import INPUT_SCHEMES
from reelmill.errors import StartupError
from reelmill.worker.engines.engine import Engine
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.gstreamer import GstreamerEngine
from reelmill.worker.gstreamer_trial import NONE, Gstreamer, find_gstreamer, try_gstreamer
from reelmill.worker.machine import find_program, usable_cores, usable_memory
from reelmill.worker.process import ask
from reelmill.worker.shortage import find_memory_shortage
from reelmill.worker.trial import Trial, try_each, working_encoders

FFMPEG_VARIABLE = "REELMILL_FFMPEG"
HARDWARE_VARIABLE = "REELMILL_HARDWARE"
"""With the value ``none`` a node encodes in software only."""
_VERSION_LINE = re.compile(r"ffmpeg version (\S+)")
_VERSION = re.compile(r"n?(\d+)\.(\d+)(?:\.(\d+))?")


class Ffmpeg(msgspec.Struct, frozen=True):
    """An ffmpeg that answers: its absolute path and its own words for its version."""

    path: Path
    version: str


class Inventory(msgspec.Struct, frozen=True):
    """What was found on this machine. ``encoders`` maps each codec that works to its encoder, for ``FfmpegEngine``."""

    capabilities: Capabilities
    ffmpeg: Ffmpeg
    encoders: dict[str, str]
    trials: list[Trial]
    gstreamer: Gstreamer | None = None
    hardware: list[Trial] = []
    """The hardware encoders that ffmpeg was built with, tried."""
    shortage: str | None = None
    """Why not all of the machine's cores are used."""

    def engines(self) -> dict[str, Engine]:
        """The engines of this machine, by name."""
        engines: dict[str, Engine] = {
            "ffmpeg": FfmpegEngine(self.ffmpeg.path, self.encoders, working_encoders(self.hardware))
        }
        if self.gstreamer is not None:
            engines["gstreamer"] = GstreamerEngine(self.gstreamer.path, self.gstreamer.encoders)
        return engines


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


def readable_schemes(path: Path) -> list[str]:
    """Of the streams that jobs may read, those that this ffmpeg was built to read. Blocks."""
    inputs = (ask(path, "-hide_banner", "-protocols") or "").partition("Input:")[2].partition("Output:")[0].split()
    return [scheme for scheme in INPUT_SCHEMES if scheme in inputs]


async def discover(slots: int | None = None, labels: Mapping[str, str] | None = None) -> Inventory:
    """Look at this machine, in well under a second; StartupError when it has no ffmpeg.

    ``slots`` replaces the number of cores, ``labels`` are what the operator says of the machine.
    """
    ffmpeg = await asyncio.to_thread(find_ffmpeg)
    found = await find_gstreamer()  # what may stop the start, before anything runs that would be left behind
    trials = await _try_ffmpeg(ffmpeg.path, SOFTWARE)
    hardware = await _try_hardware(ffmpeg.path)
    gstreamer = await try_gstreamer(found)
    encoders = working_encoders(trials)
    units, shortage = _count_units() if slots is None else (max(1, slots), None)
    named = [trial.encoder for trial in (*hardware, *trials) if trial.ok]
    engines = {"ffmpeg": list(encoders)} if encoders else {}
    reads = [reading_feature(scheme) for scheme in await asyncio.to_thread(readable_schemes, ffmpeg.path)]
    features = {"ffmpeg": [OPTIONS, LADDER, thumbnails.FEATURE, BY_NAME, *named, *reads]} if encoders else {}
    if gstreamer is not None and gstreamer.encoders:
        engines["gstreamer"] = list(gstreamer.encoders)
    capabilities = Capabilities(units, engines, dict(labels or {}), features=features)
    return Inventory(capabilities, ffmpeg, encoders, trials, gstreamer, hardware, shortage)


async def _try_hardware(path: Path) -> list[Trial]:
    """The hardware encoders that this ffmpeg was built with; none when the operator wants none."""
    if os.environ.get(HARDWARE_VARIABLE) == NONE:
        return []
    built = set((await asyncio.to_thread(ask, path, "-hide_banner", "-encoders") or "").split())
    return await _try_ffmpeg(
        path, {codec: [name for name in names if name in built] for codec, names in HARDWARE.items()}
    )


async def _try_ffmpeg(path: Path, encoders: Mapping[str, Sequence[str]]) -> list[Trial]:
    wanted = [(codec, encoder) for codec in (*CODECS, thumbnails.CODEC) for encoder in encoders.get(codec, ())]
    return await try_each([(FfmpegEngine(path, {codec: encoder}), codec, encoder) for codec, encoder in wanted])


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
    match = _VERSION_LINE.match(ask(path, "-version") or "")
    return Ffmpeg(path, match[1]) if match else None
