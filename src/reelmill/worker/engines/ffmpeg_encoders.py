"""ffmpeg's video encoders: the options of each, with rate control, threads and passes as a plan says."""

from __future__ import annotations

from collections.abc import Callable

from reelmill.worker.engines.engine import EncodePlan

_SVT_MOST_PARALLEL = 6  # the top of SVT-AV1's own scale, which is levels and not threads
_VP9_10_BIT = "2"
_AOM_FASTEST = 8
_QUALITY_NEEDS_RATE = ("libvpx-vp9", "libaom-av1")  # without "-b:v 0" their constant quality has ffmpeg's default cap


def encoder_options(plan: EncodePlan, encoder: str) -> list[str]:
    """The encoder with all that it is told."""
    gop = str(plan.gop_frames)
    return [
        *("-c:v", encoder, *_ENCODER_OPTIONS[encoder](plan)),
        *("-threads:v", str(plan.threads), "-g", gop, "-pix_fmt", plan.scenario.pixel_format),
        *_rate(plan, encoder),
        *_passes(plan, encoder),
    ]


def sample_entry(plan: EncodePlan) -> list[str]:
    """The name by which an MP4 tells its codec, where Apple's players refuse the usual one, hev1."""
    return ["-tag:v", "hvc1"] if plan.scenario.codec == "h265" and plan.container == "mp4" else []


def _rate(plan: EncodePlan, encoder: str) -> list[str]:
    rate, bitrate = plan.scenario.rate, str(plan.bitrate)
    quality = ["-crf", str(rate.crf)]
    match rate.mode:
        case "crf":
            return [*quality, *(["-b:v", "0"] if encoder in _QUALITY_NEEDS_RATE else [])]
        case "capped-crf":
            cap = ["-b:v", bitrate] if encoder in _QUALITY_NEEDS_RATE else ["-maxrate", bitrate]
            return [*quality, *cap, "-bufsize", str(plan.bitrate * 2)]
        case _:
            # SVT-AV1 refuses a peak together with a rate.
            peak = [] if encoder == "libsvtav1" else ["-maxrate", str(plan.bitrate * 3 // 2)]
            return ["-b:v", bitrate, *peak, "-bufsize", str(plan.bitrate * 2)]


def _passes(plan: EncodePlan, encoder: str) -> list[str]:
    if not plan.pass_number or encoder == "libx265":  # which has its own options for it
        return []
    return ["-pass", str(plan.pass_number), "-passlogfile", str(plan.output_path.with_name("passes"))]


def _x264(plan: EncodePlan) -> list[str]:
    # In a ladder every rung has its key frames at the same frames, and no others.
    aligned = ["-keyint_min", str(plan.gop_frames), "-sc_threshold", "0"] if plan.is_ladder else []
    return ["-preset", plan.scenario.preset, *aligned]


def _x265(plan: EncodePlan) -> list[str]:
    # -threads alone would set x265's frame threads, each of which holds whole pictures, and leave its pool unbounded.
    frame_threads = min(plan.threads, 3)
    params = f"pools={plan.threads}:frame-threads={frame_threads}:log-level=warning"
    if plan.is_ladder:
        params += f":scenecut=0:open-gop=0:min-keyint={plan.gop_frames}"
    if plan.pass_number:
        params += f":pass={plan.pass_number}:stats={_escaped(str(plan.output_path.with_name('passes')))}"
    return ["-preset", plan.scenario.preset, "-x265-params", params, *sample_entry(plan)]


def _escaped(value: str) -> str:
    """A value inside of a list of ``key=value`` that colons divide."""
    return "".join(f"\\{character}" if character in "\\':=" else character for character in value)


def _vp9(plan: EncodePlan) -> list[str]:
    return [
        *("-deadline", "good", "-cpu-used", plan.scenario.preset),
        *("-row-mt", "1", "-tile-columns", str(plan.vp9_tile_columns)),
        *([] if plan.scenario.pixel_format == "yuv420p" else ["-profile:v", _VP9_10_BIT]),
    ]


def _svt_av1(plan: EncodePlan) -> list[str]:
    return ["-preset", plan.scenario.preset, "-svtav1-params", f"lp={min(plan.threads, _SVT_MOST_PARALLEL)}"]


def _aom_av1(plan: EncodePlan) -> list[str]:
    speed = min(int(plan.scenario.preset), _AOM_FASTEST)  # presets are written on SVT-AV1's scale, which goes further
    return ["-cpu-used", str(speed), "-row-mt", "1"]


def _mjpeg(_: EncodePlan) -> list[str]:
    return ["-strict", "unofficial"]  # JPEG has all of the range, and video has not


_ENCODER_OPTIONS: dict[str, Callable[[EncodePlan], list[str]]] = {
    "libx264": _x264,
    "libx265": _x265,
    "libvpx-vp9": _vp9,
    "libsvtav1": _svt_av1,
    "libaom-av1": _aom_av1,
    "mjpeg": _mjpeg,
}
