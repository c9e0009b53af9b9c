"""Engines that misbehave for the jobs with one bitrate, and are the real ffmpeg for all others."""

from __future__ import annotations

import shlex
from pathlib import Path

from reelmill.worker.inventory import find_ffmpeg

BAD_BITRATE = 1_234_567
"""Ask for this one to meet the misbehaviour."""

_SCRIPT = """#!/bin/sh
real={ffmpeg}
case " $* " in *" -b:v {bitrate} "*)
{misbehaviour}
;; esac
exec "$real" "$@"
"""


def make_bad_engine(folder: Path, misbehaviour: str) -> str:
    """The path of an engine for REELMILL_FFMPEG; ``misbehaviour`` is shell, after which ``$real`` goes on."""
    script = folder / "engine.sh"
    real = shlex.quote(str(find_ffmpeg().path))
    script.write_text(_SCRIPT.format(bitrate=BAD_BITRATE, misbehaviour=misbehaviour, ffmpeg=real))
    script.chmod(0o755)
    return str(script)
