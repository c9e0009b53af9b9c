"""Thumbnails: a poster of a film, and the small pictures that a player shows above its seek bar."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from reelmill.errors import InvalidField

CODEC = "mjpeg"
"""What the pictures are encoded as: JPEG, in the engines' word for it."""

FEATURE = "thumbnails"
"""The feature of engines that make them."""

MOST_TILES = 2000
_INTERVALS = (0.5, 600.0)
_TILE_WIDTHS = (32, 640)
_SIDES = (1, 20)
_LEAST_TILES = 4  # a folder has a thousand files at most


class Thumbnails(msgspec.Struct, frozen=True):
    """Sheets of ``columns`` x ``rows`` tiles, each ``tile_width`` pixels wide, one for every ``interval`` seconds."""

    interval: float = 10.0
    tile_width: int = 160
    columns: int = 10
    rows: int = 10

    @property
    def tiles(self) -> int:
        """On one sheet."""
        return self.columns * self.rows


class Timeline(NamedTuple):
    """So many ``moments``, the first at 0, each ``interval`` seconds behind the one before."""

    moments: int
    interval: float


def timeline(thumbnails: Thumbnails, seconds: float) -> Timeline:
    """The moments of a film of so many seconds; of a long one further apart, so that there are no more than 2,000."""
    interval = max(thumbnails.interval, seconds / MOST_TILES)
    return Timeline(max(1, math.ceil(round(seconds / interval, 6))), interval)


def check_thumbnails(field: str, thumbnails: Thumbnails) -> None:
    """InvalidField, named from ``field`` on, when no player would show them, or no memory would hold a sheet."""
    for name, value, (low, high) in (
        ("interval", thumbnails.interval, _INTERVALS),
        ("tile_width", thumbnails.tile_width, _TILE_WIDTHS),
        ("columns", thumbnails.columns, _SIDES),
        ("rows", thumbnails.rows, _SIDES),
    ):
        if not low <= value <= high:
            raise InvalidField(f"{field}.{name}", f"{value:g} is out of range ({low:g} to {high:g})")
    if thumbnails.tiles < _LEAST_TILES:
        reason = f"x columns are {thumbnails.tiles} tiles on a sheet; make it {_LEAST_TILES} or more"
        raise InvalidField(f"{field}.rows", reason)
    if thumbnails.tile_width % 2:
        raise InvalidField(f"{field}.tile_width", f"{thumbnails.tile_width} is odd; use an even number of pixels")
