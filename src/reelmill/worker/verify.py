"""Whether an output is what was asked for. An encoder's exit code proves nothing: the file itself is judged."""

from __future__ import annotations

from reelmill.domain.failure import Failure
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.media_info import MediaInfo

_LEAST_SLACK_SECONDS = 0.25
_RELATIVE_SLACK = 0.01
_FPS_SLACK = 0.02


def verify(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    """None when the probed output (frames counted) is what the plan asks for, else the first thing that is wrong."""
    for what, expected, found in (
        ("container", plan.container, info.container),
        ("codec", plan.scenario.codec, info.codec),
        ("size", f"{plan.width}x{plan.height}", f"{info.width}x{info.height}"),
        ("pixel shape", "1:1", f"{info.sar[0]}:{info.sar[1]}"),
        ("rotation", "0", str(info.rotation)),
        # yuvj420p is yuv420p with all of the source's range, which is kept
        ("pixel format", plan.scenario.pixel_format, info.pixel_format.replace("yuvj", "yuv")),
        ("dynamic range", _dynamic_range(plan), info.dynamic_range),
    ):
        if expected != found:
            return _wrong(f"its {what} is {found}, and {expected} was asked for")
    if abs(info.fps - plan.fps) > plan.fps * _FPS_SLACK:
        return _wrong(f"its frame rate is {info.fps:g}, and {plan.fps:g} was asked for")
    if not info.ends_decode:
        return _wrong("its first or last pictures cannot be decoded, and all of it was to be")
    return _check_audio(plan, info) or _check_length(plan, info)


def _check_audio(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    expected, found = len(plan.audio), len(info.audio_codecs)
    if found == expected:
        return _check_tracks(plan, info)
    if found < expected and plan.source is not None:
        return Failure(
            "input_error",
            "input_invalid",
            f"The input names {expected} audio tracks, and {found} could be encoded: the others are empty or damaged; "
            "remove them from it, or export it again.",
        )
    return _wrong(f"its number of audio streams is {found}, and {expected} was asked for")


def _check_tracks(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    for number, (handling, codec) in enumerate(zip(plan.audio, info.audio_codecs, strict=True)):
        copied = plan.source.audio_codecs[number] if plan.source is not None else plan.audio_codec
        expected = copied if handling == "copy" else plan.audio_codec
        if codec != expected:
            return _wrong(f"the codec of its audio track {number + 1} is {codec}, and {expected} was asked for")
        channels = plan.scenario.audio.channels
        if handling == "encode" and channels is not None and info.channels_of(number) != channels:
            found = info.channels_of(number)
            return _wrong(f"its audio track {number + 1} has {found} channels, and {channels} were asked for")
    if len(info.subtitle_codecs) != len(plan.subtitles):
        found, expected = len(info.subtitle_codecs), len(plan.subtitles)
        return _wrong(f"its number of subtitle tracks is {found}, and {expected} was asked for")
    return None


def _dynamic_range(plan: EncodePlan) -> str:
    return "sdr" if plan.source is None or plan.tone_map else plan.source.dynamic_range


def _check_length(plan: EncodePlan, info: MediaInfo) -> Failure | None:
    fps = plan.fps
    if abs(info.duration - plan.duration) > _slack(plan, plan.duration):
        return _wrong_length(
            plan, f"lasts {info.duration:.2f} s", f"{plan.duration:.2f} s", info.duration, plan.duration
        )
    # Where the source does not tell how long its picture lasts, the output's frames must at least fill its own.
    picture = plan.video_duration if plan.video_duration is not None else info.video_duration
    if picture is not None and abs(info.frames - picture * fps) > _slack(plan, picture) * fps:
        expected = f"about {round(picture * fps)}"
        return _wrong_length(plan, f"has {info.frames} frames", expected, info.frames / fps, picture)
    return None


def verify_reached(plan: EncodePlan, seconds: float) -> Failure | None:
    """None when all of the pictures were seen that the source promises, of which ``seconds`` were."""
    promised = plan.video_duration
    if promised is None or seconds >= promised - _slack(plan, promised):
        return None
    return _wrong_length(plan, f"shows {seconds:.2f} s", f"{promised:.2f} s", seconds, promised)


def _slack(plan: EncodePlan, seconds: float) -> float:
    frame = 1 / plan.fps
    if plan.source is not None and plan.source.fps > 0:
        # How long the last picture stays is the source's guess; but not longer than the whole film.
        frame = max(frame, min(1 / plan.source.fps, plan.duration))
    return max(_LEAST_SLACK_SECONDS, 2 * frame, _RELATIVE_SLACK * seconds)


def _wrong(what: str) -> Failure:
    message = f"The output is not what was asked for: {what}; the job's log has the engine's messages."
    return Failure("runtime_error", "output_invalid", message)


def _wrong_length(plan: EncodePlan, found: str, expected: str, seconds: float, promised: float) -> Failure:
    if plan.source is not None and seconds < promised:
        # The engine called it a success, so it came to the end of what there was to read.
        return Failure(
            "input_error",
            "input_truncated",
            f"The output {found} where the input promises {expected}: part of the input is missing or damaged; "
            "copy or export it again.",
        )
    if plan.source is not None and plan.limit is None:
        return Failure(
            "input_error",
            "input_invalid",
            f"The output {found} where the input promises {expected}: the input's header, or its times, are wrong; "
            "copy or export it again.",
        )
    return _wrong(f"it {found}, and {expected} was expected")
