"""ffmpeg for live streams: real time in, RTMP or a recording out.

The encoder of what is sent goes on while the server is away: the fifo muxer stands between the two. It reconnects every
second, begins again with a key frame, and throws away what nobody takes, so that the encoder never waits.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelmill.domain.picture import MOST_PIXELS
from reelmill.domain.stream_url import scheme_of
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg import FfmpegEngine, source_input
from reelmill.worker.engines.ffmpeg_encoders import encoder_options, sample_entry
from reelmill.worker.engines.ffmpeg_filters import filter_chain
from reelmill.worker.engines.ffmpeg_tracks import encode_track

LIVE_PRESET = "veryfast"
"""Of x264, whatever the scenario says: a live encoder must keep up."""

SILENT_SECONDS = 3
"""How long a server may take nothing, or send nothing, before its connection is given up."""

LONGEST_SILENCE = 15.0
"""Seconds. The engine ends by itself some 6 s after its source fell silent; one that does not hangs."""

QUEUE_SECONDS = 2
"""So much of the stream waits for a server that is slow for a moment."""

_STREAMS = {  # by the URL's scheme: the protocols beneath it, and what comes of it
    "rtmp": ("rtmp,tcp", "flv,live_flv"),
    "rtmps": ("rtmps,rtmp,tls,tcp", "flv,live_flv"),
    "srt": ("srt", "mpegts"),
}
_TLS = {"tls_verify": "1"}
"""Older versions trust whoever answers, and tell it the key."""

_ANALYSED_SECONDS = 2
"""Of a stream, before its encode begins: one without sound is known by that only."""

_ANY_SOUND = "0:a:0?"
_AUDIO_PACKETS = 50  # a second, at most; AAC has 47 of 48 kHz
_LEAST_BUFFER = 64 * 1024


def stream_command(engine: FfmpegEngine, plan: EncodePlan, url: str) -> list[str]:
    """The argv list that encodes the plan in real time and sends it to the RTMP ``url``.

    Its words on stderr, one a line with its level, are for `StreamWatch`.
    """
    return [
        str(engine.path),
        *("-nostdin", "-hide_banner", "-nostats", "-v", "level+verbose"),
        *("-progress", "pipe:1", "-stats_period", "0.25"),
        *("-filter_threads", str(plan.threads)),
        *_input(plan),
        *_video(plan, engine.encoder_of(plan)),
        *_audio(plan),
        *("-t", f"{plan.duration:.6f}"),
        *_server(plan, url),
    ]


def record_command(engine: FfmpegEngine, plan: EncodePlan) -> list[str]:
    """The argv list that records what comes of the plan's stream into its output, which is good wherever it ends."""
    chain = filter_chain(plan)
    return [
        str(engine.path),
        *("-nostdin", "-hide_banner", "-nostats", "-v", "level+info"),
        *("-progress", "pipe:1", "-stats_period", "0.25"),
        *("-filter_threads", str(plan.threads)),
        *_input(plan),
        *("-map", "0:V:0", *(["-vf", chain] if chain else [])),
        *encoder_options(_kept_up(plan), engine.encoder_of(plan)),
        *(["-map", _ANY_SOUND, *encode_track(plan, 0)] if plan.audio else []),
        *("-t", f"{plan.duration:.6f}"),
        *("-f", "matroska", "-cluster_time_limit", "1000", "-y", f"file:{plan.output_path}"),
    ]


def _kept_up(plan: EncodePlan) -> EncodePlan:
    if plan.scenario.codec != "h264":
        return plan
    return msgspec.structs.replace(plan, scenario=msgspec.structs.replace(plan.scenario, preset=LIVE_PRESET))


def join_command(engine: FfmpegEngine, plan: EncodePlan, listing: Path) -> list[str]:
    """The argv list that puts the recordings of that ffconcat list into the plan's output, as they are."""
    return [
        str(engine.path),
        *("-nostdin", "-hide_banner", "-v", "warning", "-progress", "pipe:1"),
        *("-protocol_whitelist", "file", "-format_whitelist", "concat,matroska,webm"),
        *("-f", "concat", "-i", f"file:{listing}", "-map", "0", "-c", "copy", *sample_entry(plan)),
        *(["-movflags", "+faststart"] if plan.container == "mp4" else []),
        *("-f", plan.container, "-y", f"file:{plan.output_path}"),
    ]


def silence_command(engine: FfmpegEngine, plan: EncodePlan, recording: Path, seconds: float) -> list[str]:
    """The argv list that gives a recording of so many seconds, which has no sound, a silent track like the others'."""
    return [
        str(engine.path),
        *("-nostdin", "-hide_banner", "-v", "warning", "-progress", "pipe:1"),
        *("-protocol_whitelist", "file", "-format_whitelist", "matroska,webm", "-i", f"file:{recording}"),
        *("-f", "lavfi", "-t", f"{seconds:.6f}", "-i", "anullsrc=sample_rate=48000"),
        *("-map", "0:v", "-c:v", "copy", "-map", "1:a", *encode_track(plan, 0)),
        *("-f", "matroska", "-y", f"file:{plan.output_path}"),
    ]


def _input(plan: EncodePlan) -> list[str]:
    """A stream comes in real time; what is there at once is read as if it did."""
    if plan.stream is None:
        return ["-re", *source_input(plan)]
    protocols, formats = _STREAMS[scheme_of(plan.stream)]
    tls = [word for name, value in _tls(plan.stream).items() for word in (f"-{name}", value)]
    return [
        *tls,
        *("-protocol_whitelist", protocols, "-format_whitelist", formats),
        *("-rw_timeout", str(SILENT_SECONDS * 1_000_000), "-analyzeduration", str(_ANALYSED_SECONDS * 1_000_000)),
        *("-max_pixels", str(MOST_PIXELS), "-threads", str(plan.threads)),
        *("-i", plan.stream),
    ]


def _tls(url: str) -> dict[str, str]:
    return _TLS if scheme_of(url) == "rtmps" else {}


def _video(plan: EncodePlan, encoder: str) -> list[str]:
    chain = filter_chain(plan)
    gop = str(plan.gop_frames)
    return [
        *("-map", "0:V:0", *(["-vf", chain] if chain else [])),
        *("-c:v", encoder, *(["-preset", LIVE_PRESET] if encoder == "libx264" else [])),
        *("-threads:v", str(plan.threads), "-g", gop, "-pix_fmt", plan.scenario.pixel_format),
        *("-b:v", str(plan.bitrate), "-maxrate", str(plan.bitrate), "-bufsize", str(2 * plan.bitrate)),
        *("-flags:v", "+global_header"),  # what FLV needs; the fifo muxer does not pass that wish on
    ]


def _audio(plan: EncodePlan) -> list[str]:
    if not plan.audio:
        return []
    return [
        "-map",
        "0:a:0" if plan.stream is None else _ANY_SOUND,
        *encode_track(plan, 0),
        "-flags:a",
        "+global_header",
    ]


def _server(plan: EncodePlan, url: str) -> list[str]:
    # A small send buffer, of a second, makes a server that stands still known by a full one.
    buffer = max(_LEAST_BUFFER, plan.bitrate // 8)
    options = {
        "flvflags": "no_duration_filesize",
        "rw_timeout": str(SILENT_SECONDS * 1_000_000),
        "send_buffer_size": str(buffer),
        "protocol_whitelist": "rtmp,rtmps,tcp,tls",
        **_tls(url),
    }
    packets = round(plan.fps) + (_AUDIO_PACKETS if plan.audio else 0)
    return [
        *("-f", "fifo", "-fifo_format", "flv", "-format_opts", ":".join(f"{k}={v}" for k, v in options.items())),
        *("-queue_size", str(QUEUE_SECONDS * packets), "-drop_pkts_on_overflow", "1"),
        *("-attempt_recovery", "1", "-recover_any_error", "1", "-recovery_wait_time", "1"),
        *("-restart_with_keyframe", "1", url),
    ]
