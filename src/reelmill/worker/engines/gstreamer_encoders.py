"""GStreamer's video encoders: the properties of each, with rate and threads as a plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.gstreamer_pipeline import caps, element, linked

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "h264": ("x264enc",),
    "h265": ("x265enc",),
    "vp9": ("vp9enc",),
    "av1": ("av1enc",),
}
"""Encoders of each codec, the preferred one first."""

_BUFFER_SECONDS = 2
_VP9_GOOD = 1_000_000  # libvpx's own number for the deadline "good"
_AOM_FASTEST = 8


def encoder(plan: EncodePlan, name: str) -> list[str]:
    """The encoder with all that it is told; what it makes still wants its parser."""
    return _ENCODERS[name](plan)


def parser(plan: EncodePlan) -> list[str]:
    """What brings the encoder's stream into the form that the container takes."""
    match plan.scenario.codec:
        case "h264":
            return element("h264parse")
        case "h265":
            # Apple's players refuse the other form, hev1.
            form = caps("video/x-h265", stream_format="hvc1", alignment="au") if plan.container == "mp4" else []
            return linked(element("h265parse"), form)
        case "vp9":
            return element("vp9parse")
        case _:
            return element("av1parse")


def _kilobits(plan: EncodePlan) -> int:
    return max(1, plan.bitrate // 1000)


def _x264(plan: EncodePlan) -> list[str]:
    return element(
        "x264enc",
        bitrate=_kilobits(plan),
        vbv_buf_capacity=_BUFFER_SECONDS * 1000,
        speed_preset=plan.scenario.preset,
        key_int_max=plan.gop_frames,
        threads=plan.threads,
    )


def _x265(plan: EncodePlan) -> list[str]:
    rate = _kilobits(plan)
    limits = f"vbv-maxrate={rate * 3 // 2}:vbv-bufsize={rate * _BUFFER_SECONDS}"
    return element(
        "x265enc",
        bitrate=rate,
        speed_preset=plan.scenario.preset,
        key_int_max=plan.gop_frames,
        option_string=f"pools={plan.threads}:frame-threads={min(plan.threads, 3)}:{limits}",
        log_level="warning",
    )


def _vp9(plan: EncodePlan) -> list[str]:
    return element(
        "vp9enc",
        target_bitrate=plan.bitrate,
        deadline=_VP9_GOOD,
        cpu_used=plan.scenario.preset,
        threads=plan.threads,
        row_mt="true",
        tile_columns=plan.vp9_tile_columns,
        keyframe_max_dist=plan.gop_frames,
    )


def _av1(plan: EncodePlan) -> list[str]:
    return element(
        "av1enc",
        target_bitrate=_kilobits(plan),
        cpu_used=min(int(plan.scenario.preset), _AOM_FASTEST),
        threads=plan.threads,
        row_mt="true",
        keyframe_max_dist=plan.gop_frames,
    )


_ENCODERS: dict[str, Callable[[EncodePlan], list[str]]] = {
    "x264enc": _x264,
    "x265enc": _x265,
    "vp9enc": _vp9,
    "av1enc": _av1,
}
