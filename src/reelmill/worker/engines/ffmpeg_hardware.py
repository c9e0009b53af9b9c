"""ffmpeg's hardware encoders. Which of them work is found by a trial encode: a name in a list proves no device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg_encoders import sample_entry

_DEVICES = Path("/dev/dri")
_UPLOAD = "format=nv12,hwupload"


def does_in_hardware(plan: EncodePlan) -> bool:
    """Whether hardware encoders do what the plan asks.

    Pieces that are joined must come from one encoder, whatever their nodes have; the rungs of a ladder need key frames
    that are known to the frame.
    """
    return plan.piece is None and plan.joining is None and plan.scenario.suits_hardware


def device_options(encoder: str) -> list[str]:
    """What must come before the input."""
    if not encoder.endswith("_vaapi"):
        return []
    devices = sorted(_DEVICES.glob("renderD*")) if _DEVICES.is_dir() else []
    return ["-vaapi_device", str(devices[0] if devices else _DEVICES / "renderD128")]


def upload_filter(encoder: str) -> str | None:
    """The last filter, for an encoder that takes pictures from its own memory only."""
    return _UPLOAD if encoder.endswith("_vaapi") else None


def hardware_options(plan: EncodePlan, encoder: str) -> list[str]:
    """The encoder with all that it is told; threads are the device's own matter."""
    gop = str(plan.gop_frames)
    peak = ["-maxrate", str(plan.bitrate * 3 // 2), "-bufsize", str(plan.bitrate * 2)]
    family = encoder.rpartition("_")[2]
    return ["-c:v", encoder, *_FAMILIES[family](), "-g", gop, "-b:v", str(plan.bitrate), *peak, *sample_entry(plan)]


def _nvenc() -> list[str]:
    return ["-preset", "p4", "-rc", "vbr", "-pix_fmt", "yuv420p"]


def _qsv() -> list[str]:
    return ["-preset", "medium", "-pix_fmt", "nv12"]


def _amf() -> list[str]:
    return ["-quality", "balanced", "-pix_fmt", "nv12"]


def _videotoolbox() -> list[str]:
    return ["-pix_fmt", "yuv420p"]


def _vaapi() -> list[str]:
    return []  # its filter decides the format


_FAMILIES: dict[str, Callable[[], list[str]]] = {
    "nvenc": _nvenc,
    "qsv": _qsv,
    "amf": _amf,
    "videotoolbox": _videotoolbox,
    "vaapi": _vaapi,
}
