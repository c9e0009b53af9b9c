"""Decoding the whole of an output, to know that all of it can be shown: an ffmpeg run of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reelmill.domain.failure import Failure
from reelmill.worker.engines.engine import Engine, ProgressState, hear_progress
from reelmill.worker.engines.ffmpeg import FfmpegEngine, file_input
from reelmill.worker.process import MakeProcess


def command(ffmpeg: Path, path: Path, threads: int) -> list[str]:
    """The argv list. A decoder that meets damage must say so instead of drawing over it, and the first word ends it."""
    return [
        str(ffmpeg),
        *("-nostdin", "-hide_banner", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5"),
        *("-xerror", "-err_detect", "explode", *file_input(path, threads)),
        *("-map", "0:V:0", "-map", "0:a?", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


async def decode_whole(engine: Engine | None, path: Path, threads: int, run: MakeProcess) -> Failure | None:
    """None when all of it decodes; else why not. ``run`` makes a process of an argv and of what hears its stdout."""
    if not isinstance(engine, FfmpegEngine):
        message = "The output was to be decoded, and this node has no ffmpeg, which does that; install one there."
        return Failure("capability_mismatch", "decoder_unavailable", message)
    state = ProgressState(0.0)
    ended = await run(command(engine.path, path, threads), hear_progress(engine, state)).run()
    if ended.ending == "killed":
        raise asyncio.CancelledError
    if ended.failure is not None:
        return ended.failure
    if ended.code == 0:
        return None
    message = (
        f"The output cannot be decoded to its end: about {state.media_seconds:.1f} s could be; "
        "look at the node's disk and memory, and submit the job again."
    )
    return Failure("platform_error", "output_damaged", message)
