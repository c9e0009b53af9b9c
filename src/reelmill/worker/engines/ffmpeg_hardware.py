"""ffmpeg's hardware encoders. Which of them work is found by a trial encode: a name in a list proves no device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reelmill.worker.engines.engine import EncodePlan

HARDWARE: Mapping[str, tuple[str, ...]] = {
    "h264": ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox", "h264_vaapi"),
    "h265": ("hevc_nvenc", "hevc_qsv", "hevc_amf", "hevc_videotoolbox", "hevc_vaapi"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_amf", "av1_vaapi"),
}
"""Encoders of each codec, the preferred one first."""

_DEVICES = Path("/dev/dri")
_UPLOAD = "format=nv12,hwupload"


def is_hardware(encoder: str) -> bool:
    """Whether that is one of the hardware encoders."""
    return any(encoder in encoders for encoders in HARDWARE.values())


def does_in_hardware(plan: EncodePlan) -> bool:
    """Whether hardware encoders do what the plan asks: an average bitrate in one pass, of 8 bits.

    Pieces that are joined must come from one encoder, whatever their nodes have; the rungs of a ladder need key frames
    that are known to the frame.
    """
    scenario = plan.scenario
    if plan.piece is not None or plan.joining is not None or plan.is_ladder:
        return False
    return scenario.rate.mode == "bitrate" and scenario.pixel_format == "yuv420p"


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
    gop = str(max(1, round(plan.scenario.keyframe_seconds * plan.fps)))
    peak = ["-maxrate", str(plan.bitrate * 3 // 2), "-bufsize", str(plan.bitrate * 2)]
    tag = ["-tag:v", "hvc1"] if plan.scenario.codec == "h265" and plan.container == "mp4" else []
    family = encoder.rpartition("_")[2]
    return ["-c:v", encoder, *_FAMILIES[family](), "-g", gop, "-b:v", str(plan.bitrate), *peak, *tag]


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
