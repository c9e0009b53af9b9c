"""The GStreamer engine: a plan becomes a pipeline for `gst-launch-1.0`, in a process of its own as ffmpeg is."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from reelmill.domain.failure import Failure
from reelmill.domain.picture import exact_rate
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engine_output import GaveUp
from reelmill.worker.engines import gstreamer_failure
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading, cut_of
from reelmill.worker.engines.gstreamer_encoders import encoder, parser
from reelmill.worker.engines.gstreamer_pipeline import caps, element, linked
from reelmill.worker.engines.gstreamer_source import audio_track, decoded_audio, decoded_video, demuxer, queue
from reelmill.worker.engines.gstreamer_source import parts as source_parts

_MUXER = "mux"
_MUXERS = {"mp4": "mp4mux", "matroska": "matroskamux"}
_AUDIO_BITRATE, _BITRATE_PER_CHANNEL, _STEREO = 160_000, 64_000, 2
_AUDIO_PIECES = 100
"""Cut sound is counted in pieces of so many a second."""
_NANOSECONDS = 1_000_000_000
_PROGRESS = re.compile(r"\(element\): progress,.*\bcurrent=\(gint64\)(\d+)")
_ERROR = re.compile(r'^Got message #\d+ from element "[^"]*" \(error\):')
_TURNS = {90: "90l", 180: "180", 270: "90r"}


class GstreamerEngine(msgspec.Struct, frozen=True):
    """Encodes with the gst-launch-1.0 at ``path`` (absolute) and the encoder that works there for each codec.

    It does plain scenarios only, see `Scenario.encoder_needed`: what else one may ask is no feature of this engine.
    """

    path: Path
    encoders: Mapping[str, str]

    @property
    def name(self) -> str:
        return "gstreamer"

    def ways(self, plan: EncodePlan) -> list[GstreamerEngine]:
        """The one."""
        return [self]

    def encoder_of(self, plan: EncodePlan) -> str:
        """As in its list of encoders."""
        return self.encoders[plan.scenario.codec]

    def command(self, plan: EncodePlan) -> list[str]:
        """The argv list; AttemptFailed when this engine cannot run the plan."""
        _refuse_what_it_cannot(plan)
        return [
            str(self.path),
            *("-m", "--no-position"),  # -m tells of progress, and of errors after which gst-launch may go on for ever
            *_muxer(plan),
            *(_synthetic(plan) if plan.input_path is None else _opened(plan, plan.input_path)),
            *linked(["!", *_encoded(plan, self.encoders[plan.scenario.codec])], queue(), [f"{_MUXER}."]),
            *(word for index in range(len(plan.audio)) for word in _sound(plan, index)),
        ]

    def parse_progress(self, line: str, state: ProgressState) -> Reading | None:
        """A message of the pipeline: how many whole seconds are encoded; GaveUp when it says that it failed."""
        if _ERROR.match(line):
            raise GaveUp
        found = _PROGRESS.search(line)
        return None if found is None else _reading(int(found[1]), state)

    def explain(self, exit_code: int, stderr: str, plan: EncodePlan) -> Failure:
        """What GStreamer's words mean; see ``gstreamer_failure``."""
        return gstreamer_failure.explain(exit_code, stderr, plan)


def _refuse_what_it_cannot(plan: EncodePlan) -> None:
    source = plan.source
    if plan.tone_map or (source is not None and source.is_hdr):
        what = "map the tones of an HDR input"
    elif plan.deinterlace != "none":
        what = "deinterlace an input"
    elif plan.piece is not None or plan.joining is not None:
        what = "encode a piece of a film, or join pieces,"
    elif plan.container not in _MUXERS:
        what = f"write {plan.container}"
    else:
        return
    message = f"GStreamer does not {what} here; ask for the engine ffmpeg, or for auto."
    raise AttemptFailed(Failure("capability_mismatch", "engine_unable", message))


def _muxer(plan: EncodePlan) -> list[str]:
    properties: dict[str, str] = {}
    if plan.container == "mp4":
        # Its index is moved to the front; without a name the copy for that would lie in the system's /tmp.
        properties = {"faststart": "true", "faststart_file": str(plan.output_path.with_name("faststart"))}
    sink = element("filesink", location=str(plan.output_path))
    return linked(element(_MUXERS[plan.container], name=_MUXER, **properties), sink)


def _synthetic(plan: EncodePlan) -> list[str]:
    frames = max(1, round(plan.duration * plan.fps))
    return linked(element("videotestsrc", num_buffers=frames, pattern="ball"), _raw(plan))


def _opened(plan: EncodePlan, path: Path) -> list[str]:
    source = plan.source
    assert source is not None
    frames = math.ceil(cut_of(plan) * plan.fps - 1e-6)
    end = round(cut_of(plan) * _NANOSECONDS)
    rate = linked(element("videorate"), caps("video/x-raw", framerate=exact_rate(plan.fps)))
    turn = _TURNS.get(source.rotation % 360)
    return [
        *linked(element("filesrc", location=str(path)), demuxer(source.container)),
        *linked(
            decoded_video(source.codec, plan.threads),
            element("videoflip", video_direction=turn) if turn else [],
            rate if source.fps > plan.fps else [],  # scale the fewer pictures
            element("videoconvert", n_threads=plan.threads),
            element("videoscale", n_threads=plan.threads, add_borders="false"),
            caps("video/x-raw", format="I420", width=plan.width, height=plan.height, pixel_aspect_ratio="1/1"),
            [] if source.fps > plan.fps else rate,
            # The first ends the reading soon behind the cut, the second cuts to the frame.
            element("identity", eos_after=frames + 1),
            element("avwait", mode="running-time", target_running_time=0, end_running_time=end),
        ),
    ]


def _raw(plan: EncodePlan) -> list[str]:
    size = {"width": plan.width, "height": plan.height}
    return caps("video/x-raw", format="I420", framerate=exact_rate(plan.fps), **size)


def _encoded(plan: EncodePlan, name: str) -> list[str]:
    progress = element("progressreport", update_freq=1, silent="true", do_query="false")
    return linked(encoder(plan, name), progress, parser(plan))


def _sound(plan: EncodePlan, index: int) -> list[str]:
    assert plan.source is not None
    codec, into = plan.source.audio_codecs[index], [f"{_MUXER}."]
    if plan.audio[index] == "copy" and plan.limit is None:
        return linked(audio_track(codec), into)
    channels = plan.source.channels_of(index)
    rate = _AUDIO_BITRATE if channels is None or channels <= _STEREO else channels * _BITRATE_PER_CHANNEL
    cut: list[str] = []
    if plan.limit is not None:
        pieces = max(1, round(plan.limit * _AUDIO_PIECES))
        split = element("audiobuffersplit", output_buffer_duration=f"1/{_AUDIO_PIECES}")
        cut = linked(split, element("identity", eos_after=pieces))
    convert = linked(element("audioconvert"), element("audioresample"))
    encode = linked(element("avenc_aac", bitrate=rate), element("aacparse"))
    return linked(decoded_audio(codec), convert, cut, encode, queue(), into)


def _reading(seconds: int, state: ProgressState) -> Reading:
    moved = seconds > state.media_seconds
    state.media_seconds = max(state.media_seconds, float(seconds))
    if state.duration > 0:
        state.percent = min(100.0, 100.0 * state.media_seconds / state.duration)
    elapsed = time.monotonic() - state.started_at
    speed = state.media_seconds / elapsed if elapsed > 0 and state.media_seconds else None
    left = max(0.0, state.duration - state.media_seconds)
    return Reading(
        percent=round(state.percent, 2),
        fps=None if speed is None else round(speed * state.rate, 2),
        speed=None if speed is None else round(speed, 3),
        eta=None if speed is None else left / speed,
        moved=moved,
    )


def parts() -> list[str]:
    """A pipeline that does nothing, but needs every element of this engine except the video encoders."""
    others = ("videoflip", "videorate", "videoconvert", "videoscale", "avwait", "progressreport", "h264parse")
    sound = ("audioconvert", "audioresample", "audiobuffersplit", "avenc_aac")
    words = [*linked(element("videotestsrc", num_buffers=1), element("fakesink")), *_MUXERS.values(), *others, *sound]
    return [*words, *source_parts()]
