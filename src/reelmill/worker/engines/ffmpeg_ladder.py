"""A ladder by one ffmpeg: decoded once, split, and every rung scaled and encoded side by side.

It runs in the folder of the output and writes there, under names of our own: a CMAF track file and a media playlist
for each rung and for the sound. Names with a path would be patterns to the muxer, in which a percent sign means more.
"""

from __future__ import annotations

from fractions import Fraction

from reelmill.domain.picture import exact_rate
from reelmill.worker.engines.engine import EncodePlan, rung_plan
from reelmill.worker.engines.ffmpeg_encoders import encoder_options
from reelmill.worker.engines.ffmpeg_filters import fit_filters, source_filters
from reelmill.worker.engines.ffmpeg_tracks import encode_track

SOUND = "sound"
"""What the files of the sound are called."""


def ladder_options(plan: EncodePlan, encoder: str) -> list[str]:
    """All between the input and the end of the command; the output is the folder in which it runs."""
    argv = ["-filter_complex", _graph(plan)]
    for number in range(len(plan.rungs)):
        argv += ["-map", f"[v{number}]"]
    if plan.audio:
        argv += ["-map", "0:a:0", *encode_track(plan, 0)]
    for number, rung in enumerate(plan.rungs):
        argv += _of_stream(encoder_options(rung_plan(plan, rung), encoder), number)
    return argv


def muxer_options(plan: EncodePlan) -> list[str]:
    """The segments and playlists."""
    streams = [f"v:{number},name:{rung.name}" for number, rung in enumerate(plan.rungs)]
    if plan.audio:
        streams = [f"{stream},agroup:{SOUND}" for stream in streams]
        streams.append(f"a:0,name:{SOUND},agroup:{SOUND},default:yes")
    return [
        *("-f", "hls", "-hls_time", f"{float(segment_length(plan)):.6f}", "-hls_playlist_type", "vod"),
        *("-hls_segment_type", "fmp4", "-hls_flags", "single_file+independent_segments"),
        *("-hls_segment_filename", "%v.m4s"),
        *("-var_stream_map", " ".join(streams), "-y", "%v.m3u8"),
    ]


def segment_length(plan: EncodePlan) -> Fraction:
    """Seconds of a segment: whole stretches between key frames, at the exact rate."""
    assert plan.scenario.ladder is not None
    stretches = max(1, round(plan.scenario.ladder.segment_seconds / plan.scenario.keyframe_seconds))
    return stretches * plan.gop_frames / exact_rate(plan.fps)


def _graph(plan: EncodePlan) -> str:
    first = ",".join(source_filters(plan)) or "null"
    count = len(plan.rungs)
    names = "".join(f"[s{number}]" for number in range(count))
    chains = [f"[0:V:0]{first},split={count}{names}"]
    for number, rung in enumerate(plan.rungs):
        chains.append(f"[s{number}]{','.join(fit_filters(rung_plan(plan, rung)))}[v{number}]")
    return ";".join(chains)


def _of_stream(options: list[str], number: int) -> list[str]:
    """The same options, for one video stream only."""
    return [f"{word.removesuffix(':v')}:v:{number}" if _is_option(word) else word for word in options]


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()
