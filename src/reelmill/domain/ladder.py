"""The ABR ladder: one film in several sizes, so that a player takes what the network carries."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelmill.domain.quantity import format_bitrate
from reelmill.errors import InvalidField

LadderFormat = Literal["hls", "dash"]
CODECS = ("h264", "h265", "av1")
"""Those that players take in the segments of a ladder."""

MOST_RUNGS = 8
SEGMENT_SECONDS = (1.0, 12.0)
_SIDES = (16, 8192)
_BITRATES = (50_000, 500_000_000)
_NEAR = 1e-6


class Rung(msgspec.Struct, frozen=True):
    """One rendition: the box that its picture fits into, and its bitrate (bit/s)."""

    width: int
    height: int
    bitrate: int

    @property
    def name(self) -> str:
        """As its files are called."""
        return f"{self.height}p"


class Ladder(msgspec.Struct, frozen=True):
    """The rungs, the largest first; ``segment_seconds`` is how much a player fetches at once."""

    format: LadderFormat = "hls"
    rungs: tuple[Rung, ...] = ()
    segment_seconds: float = 4.0

    @property
    def bitrate(self) -> int:
        """That of all rungs together."""
        return sum(rung.bitrate for rung in self.rungs)


def check_ladder(field: str, ladder: Ladder, codec: str, keyframe_seconds: float) -> None:
    """InvalidField, named from ``field`` on, when players could not play it."""
    if codec not in CODECS:
        raise InvalidField("codec", f"{codec!r} is not made for a ladder; use {', '.join(CODECS)}")
    if not 1 <= len(ladder.rungs) <= MOST_RUNGS:
        raise InvalidField(f"{field}.rungs", f"are {len(ladder.rungs)}; give 1 to {MOST_RUNGS}")
    for number, rung in enumerate(ladder.rungs):
        _check_rung(f"{field}.rungs.{number}", rung)
    for number, (larger, rung) in enumerate(zip(ladder.rungs, ladder.rungs[1:], strict=False), 1):
        if rung.bitrate >= larger.bitrate or rung.height >= larger.height:
            reason = f"is no step down from {larger.name}: write the largest first, each lower and with fewer bits"
            raise InvalidField(f"{field}.rungs.{number}", reason)
    low, high = SEGMENT_SECONDS
    if not low <= ladder.segment_seconds <= high:
        raise InvalidField(
            f"{field}.segment_seconds", f"{ladder.segment_seconds:g} is out of range ({low:g} to {high:g})"
        )
    times = ladder.segment_seconds / keyframe_seconds
    if times < 1 - _NEAR or abs(times - round(times)) > _NEAR:
        reason = f"{ladder.segment_seconds:g} is no multiple of keyframe_seconds ({keyframe_seconds:g})"
        raise InvalidField(f"{field}.segment_seconds", f"{reason}: each segment begins with a key frame")


def _check_rung(field: str, rung: Rung) -> None:
    for name, side in (("width", rung.width), ("height", rung.height)):
        if not _SIDES[0] <= side <= _SIDES[1] or side % 2:
            raise InvalidField(f"{field}.{name}", f"{side} must be even, and from {_SIDES[0]} to {_SIDES[1]} pixels")
    low, high = _BITRATES
    if not low <= rung.bitrate <= high:
        limits = f"{format_bitrate(low)} to {format_bitrate(high)}"
        raise InvalidField(f"{field}.bitrate", f"{rung.bitrate} is out of range ({limits})")
