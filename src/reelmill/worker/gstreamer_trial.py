"""Which GStreamer this machine has, and which of its encoders work."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import msgspec

from reelmill.domain.capability import CODECS
from reelmill.errors import StartupError
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.gstreamer import GstreamerEngine, parts
from reelmill.worker.engines.gstreamer_encoders import ENCODERS
from reelmill.worker.machine import find_program
from reelmill.worker.process import ASK_SECONDS, EngineProcess, ask
from reelmill.worker.trial import Trial, try_each, working_encoders

GSTREAMER_VARIABLE = "REELMILL_GSTREAMER"
NONE = "none"
"""The value of the variable with which a node offers no GStreamer."""

_VERSION_LINE = re.compile(r"^GStreamer (\S+)", re.MULTILINE)
_MISSING = re.compile(r'no element "([^"]+)"')


class Gstreamer(msgspec.Struct, frozen=True):
    """A gst-launch-1.0 that answers: its absolute path, its version, and its encoders as tried.

    ``lack`` says which of the elements that jobs need it has not; then it has no ``encoders``.
    """

    path: Path
    version: str
    encoders: dict[str, str]
    trials: list[Trial]
    lack: str | None = None


async def find_gstreamer() -> tuple[Path, str] | None:
    """Path and version of REELMILL_GSTREAMER if set, else of the one on PATH; None when there is none.

    StartupError when the variable names something else.
    """
    chosen = os.environ.get(GSTREAMER_VARIABLE)
    path = find_program(chosen or "gst-launch-1.0")
    if chosen == NONE or (path is None and not chosen):
        return None
    said = None if path is None else await asyncio.to_thread(ask, path, "--version")
    version = None if said is None else _VERSION_LINE.search(said)
    if version is None or path is None:
        if chosen:
            raise StartupError(
                f"{GSTREAMER_VARIABLE}={chosen} is not a gst-launch-1.0 that runs; set it to one, or unset it"
            )
        return None
    return path, version[1]


async def try_gstreamer(found: tuple[Path, str] | None) -> Gstreamer | None:
    """What works of the one that was found. A user's first run may take seconds: GStreamer writes its registry."""
    if found is None:
        return None
    path, version = found
    lack = await _find_lack(path)
    if lack is not None:
        return Gstreamer(path, version, {}, [], lack)
    wanted = [(codec, name) for codec in CODECS for name in ENCODERS[codec]]
    trials = await try_each([(GstreamerEngine(path, {codec: name}), codec, name) for codec, name in wanted])
    return Gstreamer(path, version, working_encoders(trials), trials)


async def _find_lack(path: Path) -> str | None:
    """What keeps it from opening and writing files: an element of a plugin that is not installed."""
    try:
        end = await EngineProcess([str(path), "-q", *parts()], timeout=ASK_SECONDS).run()
    except AttemptFailed as failed:
        return failed.failure.message
    missing = _MISSING.search(end.stderr)
    if missing is not None:
        return f"it lacks {missing[1]}"
    return None if end.code == 0 else "it does not run a pipeline"
