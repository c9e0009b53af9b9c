"""The ffmpeg engine: a plan becomes an argv list, built by small typed functions and never by a shell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from reelmill.domain.encoder import is_hardware
from reelmill.domain.failure import Failure
from reelmill.domain.picture import MOST_PIXELS, exact_rate
from reelmill.worker.engines import ffmpeg_failure
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading, cut_of
from reelmill.worker.engines.ffmpeg_encoders import encoder_options
from reelmill.worker.engines.ffmpeg_filters import filter_chain
from reelmill.worker.engines.ffmpeg_hardware import (
    device_options,
    does_in_hardware,
    hardware_options,
    upload_filter,
)
from reelmill.worker.engines.ffmpeg_join import copied_pictures, pieces_input
from reelmill.worker.engines.ffmpeg_ladder import ladder_options, muxer_options
from reelmill.worker.engines.ffmpeg_thumbnails import thumbnail_options
from reelmill.worker.engines.ffmpeg_tracks import audio_options, subtitle_options
from reelmill.worker.media_info import MEDIA_FORMATS, MEDIA_PROTOCOLS


class FfmpegEngine(msgspec.Struct, frozen=True):
    """Encodes with the ffmpeg at ``path`` (absolute) and the encoder that works there for each codec."""

    path: Path
    encoders: Mapping[str, str]
    hardware: Mapping[str, str] = {}
    """The hardware encoder of each codec that has one here; it is tried first."""

    @property
    def name(self) -> str:
        return "ffmpeg"

    def ways(self, plan: EncodePlan) -> list[FfmpegEngine]:
        """With the hardware encoder of the codec, if one works here, then in software; one that is named, only so."""
        encoder = self.hardware.get(plan.scenario.codec)
        if encoder is None or plan.scenario.encoder is not None or not does_in_hardware(plan):
            return [self]
        encoders = {**self.encoders, plan.scenario.codec: encoder}
        return [msgspec.structs.replace(self, encoders=encoders, hardware={}), self]

    def encoder_of(self, plan: EncodePlan) -> str:
        """As in its list of encoders."""
        return plan.scenario.encoder or self.encoders[plan.scenario.codec]

    def command(self, plan: EncodePlan) -> list[str]:
        """The argv list; the output path is overwritten, so it must lie in the attempt's own folder."""
        return [
            str(self.path),
            *("-nostdin", "-hide_banner", "-v", "warning", "-progress", "pipe:1", "-stats_period", "0.5"),
            *("-filter_threads", str(plan.threads)),
            *device_options(self.encoder_of(plan)),
            *_seek(plan),
            *source_input(plan),
            *([] if plan.joining is None else pieces_input(plan.joining)),
            *_outputs(plan, self.encoder_of(plan)),
        ]

    def parse_progress(self, line: str, state: ProgressState) -> Reading | None:
        """One ``key=value`` line of ``-progress``; a reading at the end of each block."""
        key, _, value = line.strip().partition("=")
        if key == "progress":
            state.ended = value == "end"
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


def source_input(plan: EncodePlan) -> list[str]:
    """What reads the source: its file, or the test pictures."""
    return _synthetic_input(plan) if plan.input_path is None else file_input(plan.input_path, plan.threads)


def file_input(path: Path, threads: int) -> list[str]:
    """What reads a file that may be a stranger's."""
    return [
        *("-protocol_whitelist", ",".join(MEDIA_PROTOCOLS), "-format_whitelist", ",".join(MEDIA_FORMATS)),
        *("-max_pixels", str(MOST_PIXELS), "-threads", str(threads)),
        *("-i", f"file:{path}"),  # the prefix keeps a name with a colon from being read as a protocol
    ]


def _seek(plan: EncodePlan) -> list[str]:
    """To the key picture of a piece, with the times that pictures have in the whole file."""
    if plan.piece is None:
        return []
    seek = ["-noaccurate_seek", "-ss", f"{plan.piece.seek:.6f}"] if plan.piece.index else []
    return ["-copyts", "-start_at_zero", *seek]


def _synthetic_input(plan: EncodePlan) -> list[str]:
    """A test picture without an end."""
    return ["-f", "lavfi", "-i", f"testsrc2=size={plan.width}x{plan.height}:rate={exact_rate(plan.fps)}"]


def _outputs(plan: EncodePlan, encoder: str) -> list[str]:
    if plan.scenario.thumbnails is not None:
        return thumbnail_options(plan)
    return (_ladder if plan.is_ladder else _one_file)(plan, encoder)


def _one_file(plan: EncodePlan, encoder: str) -> list[str]:
    tracks = [] if plan.pass_number == 1 else [*audio_options(plan), *subtitle_options(plan)]
    return [*_video(plan, encoder), *tracks, *_output(plan)]


def _ladder(plan: EncodePlan, encoder: str) -> list[str]:
    return [*ladder_options(plan, encoder), "-t", f"{cut_of(plan):.6f}", *muxer_options(plan)]


def _video(plan: EncodePlan, encoder: str) -> list[str]:
    if plan.joining is not None:
        return copied_pictures(plan)
    chain = ",".join(each for each in (filter_chain(plan), upload_filter(encoder)) if each)
    return [
        *("-map", "0:V:0"),  # capital V: cover art is a video stream too, and not what was meant
        *(["-vf", chain] if chain else []),
        *(hardware_options(plan, encoder) if is_hardware(encoder) else encoder_options(plan, encoder)),
    ]


def _output(plan: EncodePlan) -> list[str]:
    if plan.pass_number == 1:
        return ["-t", f"{cut_of(plan):.6f}", "-f", "null", "-"]
    return [
        *("-t", f"{cut_of(plan):.6f}"),
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
