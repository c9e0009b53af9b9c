"""What the making of thumbnails has left: it is judged, and the list of its tiles written, before anybody sees it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import msgspec

from reelmill.domain.failure import Failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg_thumbnails import POSTER, sheet_name, storyboard_of
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.verify import verify_reached

STORYBOARD = "storyboard.vtt"


async def finish_thumbnails(plan: EncodePlan, probe: Probe, reached: float) -> MediaInfo:
    """Judge the pictures in the output's folder, and write the list there that players read; what they are.

    ``reached`` is how many seconds of the source were seen. AttemptFailed with the first thing that is wrong.
    """
    (count, _), tile, sheet = storyboard_of(plan)
    failure = verify_reached(plan, reached)
    if failure is not None:
        raise AttemptFailed(failure)
    sheets = math.ceil(count / sheet.tiles)
    size = (tile[0] * sheet.columns, tile[1] * sheet.rows)
    for number in range(1, sheets + 1):
        await _look_at(plan.output_path / sheet_name(number), size, probe)
    poster = await _look_at(plan.output_path / POSTER, (plan.width, plan.height), probe)
    found = {path.name for path in await asyncio.to_thread(lambda: list(plan.output_path.iterdir()))}
    if found != {POSTER, *(sheet_name(number) for number in range(1, sheets + 1))}:
        raise _wrong(f"there are {len(found)} pictures, and a poster and {sheets} sheets were asked for")
    await asyncio.to_thread((plan.output_path / STORYBOARD).write_text, write_cues(plan))
    return msgspec.structs.replace(poster, duration=plan.duration, frames=count, fps=count / plan.duration)


async def _look_at(path: Path, size: tuple[int, int], probe: Probe) -> MediaInfo:
    try:
        info = await probe.probe_picture(path)
    except AttemptFailed as failed:
        raise _wrong(f"{path.name} is not there, or cannot be decoded") from failed
    if (info.width, info.height) != size:
        expected, found = f"{size[0]}x{size[1]}", f"{info.width}x{info.height}"
        raise _wrong(f"the size of {path.name} is {found}, and {expected} was asked for")
    return info


def write_cues(plan: EncodePlan) -> str:
    """WebVTT: for each stretch of time the tile that is shown for it, without a gap from the start to the end."""
    (count, interval), (width, height), sheet = storyboard_of(plan)
    lines = ["WEBVTT", ""]
    for number in range(count):
        full_sheets, place = divmod(number, sheet.tiles)
        row, column = divmod(place, sheet.columns)
        end = plan.duration if number == count - 1 else (number + 1) * interval
        lines.append(f"{_clock(number * interval)} --> {_clock(end)}")
        lines += [f"{sheet_name(full_sheets + 1)}#xywh={column * width},{row * height},{width},{height}", ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _wrong(what: str) -> AttemptFailed:
    message = f"The thumbnails are not what was asked for: {what}; the job's log has the engine's messages."
    return AttemptFailed(Failure("runtime_error", "output_invalid", message))
