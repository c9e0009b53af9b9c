"""The picture: how a source's frames become those that were asked for."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from reelmill.errors import InvalidField

Fit = Literal["inside", "pad", "crop", "stretch"]
PixelFormat = Literal["yuv420p", "yuv420p10le"]

MOST_FPS = 240

MOST_PIXELS = 33_177_600
"""The largest picture that is decoded or made (8K), so that a tiny file cannot ask for gigabytes of memory."""

_NTSC = Fraction(1001, 1000)
_NEAR = 0.005


class Picture(msgspec.Struct, frozen=True):
    """How pictures are made to fit.

    ``fit``: ``inside`` the size with the aspect kept, ``pad`` adds bars up to it, ``crop`` fills it and cuts the rest
    off, ``stretch`` gives up the aspect. ``deinterlace``: ``auto`` when the source's first picture is interlaced.
    ``dynamic_range``: ``sdr`` maps the tones of an HDR source, ``keep`` keeps HDR as it is (10 bit only).
    ``frame_rate``: ``fixed`` at the scenario's fps, ``cap`` at most that, ``source`` as the source has it,
    up to 240.
    """

    fit: Fit = "inside"
    deinterlace: Literal["auto", "always", "never"] = "auto"
    dynamic_range: Literal["sdr", "keep"] = "sdr"
    frame_rate: Literal["fixed", "cap", "source"] = "fixed"


def check_picture(field: str, picture: Picture, pixel_format: PixelFormat) -> None:
    """InvalidField, named from ``field`` on, when it contradicts itself."""
    if picture.dynamic_range == "keep" and pixel_format == "yuv420p":
        reason = "'keep' needs 10 bits; set pixel_format to 'yuv420p10le', or use 'sdr'"
        raise InvalidField(f"{field}.dynamic_range", reason)


def exact_rate(fps: float) -> Fraction:
    """Frames per second as a fraction: 29.97 is 30000/1001, as NTSC has it, and 30 is 30."""
    whole = round(fps * _NTSC)
    if abs(fps - round(fps)) > _NEAR and abs(whole / _NTSC - fps) < _NEAR:
        return whole / _NTSC
    return Fraction(fps).limit_denominator(1001)
