"""Thumbnails by one ffmpeg: decoded once, for the poster, for the sheets, and to know that all of it was there.

It runs in the folder of the output and writes there, under names of our own.
"""

from __future__ import annotations

from typing import NamedTuple

from reelmill.domain.thumbnails import Thumbnails, Timeline, timeline
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg_filters import picture_filters

POSTER = "poster.jpg"
_SHEET = "storyboard-{}.jpg"

_POSTER_FROM = 0.1
"""Films begin black, or with a logo: the poster is looked for behind so much of the whole."""

_POSTER_CHOICE, _POSTER_PIXELS = 24, 64_000_000
"""Of so many pictures, half a second apart, the one that differs least from all; fewer of large ones: all are held."""

_SHEET_QUALITY, _POSTER_QUALITY = "4", "3"  # of 2 to 31, the best first


class Storyboard(NamedTuple):
    """When its pictures are seen, and the size of their tiles (pixels)."""

    timeline: Timeline
    tile: tuple[int, int]
    sheet: Thumbnails


def storyboard_of(plan: EncodePlan) -> Storyboard:
    """What is made of a plan of thumbnails, whose size is that of its poster."""
    sheet = plan.scenario.thumbnails
    assert sheet is not None
    height = max(2, 2 * round(sheet.tile_width * plan.height / plan.width / 2))
    return Storyboard(timeline(sheet, plan.duration), (sheet.tile_width, height), sheet)


def sheet_name(number: int) -> str:
    """The file of that sheet, of which the first one is number 1."""
    return _SHEET.format(number)


def thumbnail_options(plan: EncodePlan) -> list[str]:
    """All between the input and the end of the command; the output is the folder in which it runs."""
    return [
        *("-filter_complex", _graph(plan)),
        *("-map", "[whole]", "-f", "null", "-"),  # whose frames and times are the progress
        *("-map", "[sheets]", *_jpeg(_SHEET_QUALITY), "-start_number", "1", "-y", _SHEET.format("%d")),
        *("-map", "[poster]", "-frames:v", "1", *_jpeg(_POSTER_QUALITY), "-update", "1", "-y", POSTER),
    ]


def _jpeg(quality: str) -> list[str]:
    return ["-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", quality, "-f", "image2"]


def _graph(plan: EncodePlan) -> str:
    (count, interval), tile, sheet = storyboard_of(plan)
    # Each tile is the picture that is seen at its moment. A track that ends a little early is held at its last one.
    moments = [
        *("tpad=stop=-1:stop_mode=clone", f"fps=fps=1/{interval:.6f}:round=up"),
        *(f"trim=end_frame={count}", "setpts=N"),
    ]
    # Held for a second, even a single picture is one of two in a second.
    candidates = ["tpad=stop_duration=1:stop_mode=clone", f"trim=start={plan.duration * _POSTER_FROM:.6f}", "fps=2"]
    candidate_count = max(1, min(_POSTER_CHOICE, _POSTER_PIXELS // (plan.width * plan.height)))
    choice = [f"thumbnail=n={candidate_count}", "setpts=N"]
    sheets = [*moments, *picture_filters(plan, tile), f"tile={sheet.columns}x{sheet.rows}"]
    poster = [*candidates, *picture_filters(plan, (plan.width, plan.height)), *choice]
    # A test picture has no end.
    whole = [f"trim=end={plan.duration:.6f}", "split=3[whole][s][p]"]
    return f"[0:V:0]{','.join(whole)};[s]{','.join(sheets)}[sheets];[p]{','.join(poster)}[poster]"
