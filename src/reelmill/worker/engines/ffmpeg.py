"""The ffmpeg engine: a plan becomes an argv list, built by small typed functions and never by a shell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from reelmill.domain.failure import Failure
from reelmill.worker.engines import ffmpeg_failure
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading
from reelmill.worker.media_info import MAX_PIXELS, MEDIA_FORMATS, MEDIA_PROTOCOLS

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "h264": ("libx264",),
    "h265": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
}
"""Encoders of each codec, the preferred one first."""

AUDIO_BITRATE = "160k"
_GOP_SECONDS = 2
_SVT_MOST_PARALLEL = 6  # the top of SVT-AV1's own scale, which is levels and not threads
_VP9_TILE_WIDTH = 256  # the codec's least tile width: more columns than this allows are ignored
_AOM_FASTEST = 8
_OVERRUN, _OVERRUN_SECONDS = 1.05, 5.0  # more than the check of the output forgives, so a cut one never passes


class FfmpegEngine(msgspec.Struct, frozen=True):
    """Encodes with the ffmpeg at ``path`` (absolute) and the encoder that works there for each codec."""

    path: Path
    encoders: Mapping[str, str]

    @property
    def name(self) -> str:
        return "ffmpeg"

    def command(self, plan: EncodePlan) -> list[str]:
        """The argv list; the output path is overwritten, so it must lie in the attempt's own folder."""
        return [
            str(self.path),
            *("-nostdin", "-hide_banner", "-v", "warning", "-progress", "pipe:1", "-stats_period", "0.5"),
            *("-filter_threads", str(plan.threads)),
            *(_synthetic_input(plan) if plan.input_path is None else _file_input(plan, plan.input_path)),
            *_video(plan, self.encoders[plan.scenario.codec]),
            *_audio(plan),
            *_output(plan),
        ]

    def parse_progress(self, line: str, state: ProgressState) -> Reading | None:
        """One ``key=value`` line of ``-progress``; a reading at the end of each block."""
        key, _, value = line.strip().partition("=")
        if key == "progress":
            reading = _reading(state)
            state.fresh = False
            return reading
        number = _number(value)
        if number is None:
            return None
        match key:
            case "frame":
                state.fresh |= number > state.frames
                state.frames = int(number)
            case "out_time_us":
                state.fresh |= number / 1e6 > state.media_seconds
                state.media_seconds = max(state.media_seconds, number / 1e6)
            case "fps":
                state.fps = number
            case "speed":
                state.speed = number
            case _:
                pass
        return None

    def explain(self, exit_code: int, stderr: str, plan: EncodePlan) -> Failure:
        """What ffmpeg's exit code and words mean; see ``ffmpeg_failure``."""
        return ffmpeg_failure.explain(exit_code, stderr, plan)


def _file_input(plan: EncodePlan, path: Path) -> list[str]:
    return [
        *("-protocol_whitelist", ",".join(MEDIA_PROTOCOLS), "-format_whitelist", ",".join(MEDIA_FORMATS)),
        *("-max_pixels", str(MAX_PIXELS), "-threads", str(plan.threads)),
        *("-i", f"file:{path}"),  # the prefix keeps a name with a colon from being read as a protocol
    ]


def _synthetic_input(plan: EncodePlan) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size={plan.width}x{plan.height}:rate={plan.scenario.fps}"]


def _video(plan: EncodePlan, encoder: str) -> list[str]:
    gop = str(_GOP_SECONDS * plan.scenario.fps)
    return [
        *("-map", "0:V:0"),  # capital V: cover art is a video stream too, and not what was meant
        *_filters(plan),
        *("-c:v", encoder, *_ENCODER_OPTIONS[encoder](plan)),
        *("-threads:v", str(plan.threads), "-g", gop, "-pix_fmt", "yuv420p"),
        *("-b:v", str(plan.bitrate), *_rate_limit(plan, encoder)),
    ]


def _rate_limit(plan: EncodePlan, encoder: str) -> list[str]:
    peak = [] if encoder == "libsvtav1" else ["-maxrate", str(plan.bitrate * 3 // 2)]  # SVT-AV1 refuses one with a rate
    return [*peak, "-bufsize", str(plan.bitrate * 2)]


def _filters(plan: EncodePlan) -> list[str]:
    if plan.source is None:  # the test source already has the asked size and rate
        return []
    scale, rate = f"scale={plan.width}:{plan.height},setsar=1", f"fps={plan.scenario.fps}"
    # Scale the fewer pictures: frames are dropped before it, and doubled after it.
    drops = plan.source.fps > plan.scenario.fps
    return ["-vf", f"{rate},{scale}" if drops else f"{scale},{rate}"]


def _x264(plan: EncodePlan) -> list[str]:
    return ["-preset", plan.scenario.preset]


def _x265(plan: EncodePlan) -> list[str]:
    # -threads alone would set x265's frame threads, each of which holds whole pictures, and leave its pool unbounded.
    frame_threads = min(plan.threads, 3)
    params = f"pools={plan.threads}:frame-threads={frame_threads}:log-level=warning"
    tag = ["-tag:v", "hvc1"] if plan.container == "mp4" else []  # Apple's players refuse the default tag hev1
    return ["-preset", plan.scenario.preset, "-x265-params", params, *tag]


def _vp9(plan: EncodePlan) -> list[str]:
    columns = max(1, min(plan.threads, plan.width // _VP9_TILE_WIDTH))
    return [
        *("-deadline", "good", "-cpu-used", plan.scenario.preset),
        *("-row-mt", "1", "-tile-columns", str(int(math.log2(columns)))),
    ]


def _svt_av1(plan: EncodePlan) -> list[str]:
    return ["-preset", plan.scenario.preset, "-svtav1-params", f"lp={min(plan.threads, _SVT_MOST_PARALLEL)}"]


def _aom_av1(plan: EncodePlan) -> list[str]:
    speed = min(int(plan.scenario.preset), _AOM_FASTEST)  # presets are written on SVT-AV1's scale, which goes further
    return ["-cpu-used", str(speed), "-row-mt", "1"]


_ENCODER_OPTIONS: dict[str, Callable[[EncodePlan], list[str]]] = {
    "libx264": _x264,
    "libx265": _x265,
    "libvpx-vp9": _vp9,
    "libsvtav1": _svt_av1,
    "libaom-av1": _aom_av1,
}


def _audio(plan: EncodePlan) -> list[str]:
    if not plan.audio:
        return []
    each: list[str] = []
    for index, handling in enumerate(plan.audio):
        if handling == "copy":
            each += [f"-c:a:{index}", "copy"]
        else:
            each += [f"-c:a:{index}", "aac", f"-b:a:{index}", AUDIO_BITRATE]
    return ["-map", "0:a", *each]


def _output(plan: EncodePlan) -> list[str]:
    # An input may lie about its length: what goes on far beyond it is no longer worth encoding.
    limit = plan.limit or (plan.duration if plan.source is None else plan.duration * _OVERRUN + _OVERRUN_SECONDS)
    return [
        *("-t", f"{limit:.6f}"),
        *([] if plan.source is None else ["-map_metadata", "0"]),
        *(["-movflags", "+faststart"] if plan.container == "mp4" else []),
        *("-f", plan.container, "-y", f"file:{plan.output_path}"),
    ]


def _reading(state: ProgressState) -> Reading:
    percent = min(100.0, 100.0 * state.media_seconds / state.duration) if state.duration > 0 else 0.0
    state.percent = max(state.percent, percent)
    fps = state.fps
    if not fps and state.speed and state.media_seconds > 0:
        fps = state.frames * state.speed / state.media_seconds  # in its first second ffmpeg says fps=0.00
    left = max(0.0, state.duration - state.media_seconds)
    return Reading(
        percent=round(state.percent, 2),
        fps=round(fps, 2) if fps else None,
        speed=state.speed or None,
        eta=left / state.speed if state.speed else None,
        moved=state.fresh,
    )


def _number(value: str) -> float | None:
    try:
        number = float(value.strip().removesuffix("x"))
    except ValueError:  # N/A, or a key whose value is text
        return None
    return number if math.isfinite(number) else None
