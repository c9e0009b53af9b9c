"""How GStreamer opens a source: the demuxer and decoders are named, so nothing in a file chooses what is plugged in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.gstreamer_pipeline import caps, element, linked

_DEMUXER = "demux"
_QUEUE_BYTES = 64 * 1024**2
"""Room between demuxer, encoders and muxer, of compressed data: an encoder's lookahead holds one track back."""
_MOST_VPX_THREADS = 16

_DEMUXERS = {
    "mp4": "qtdemux",
    "matroska": "matroskademux",
    "mpegts": "tsdemux",
    "avi": "avidemux",
    "flv": "flvdemux",
}
_VIDEO: Mapping[str, tuple[list[str], Callable[[int], list[str]]]] = {
    "h264": (element("h264parse"), lambda threads: element("avdec_h264", max_threads=threads)),
    "h265": (element("h265parse"), lambda threads: element("avdec_h265", max_threads=threads)),
    "vp8": (caps("video/x-vp8"), lambda threads: element("vp8dec", threads=min(threads, _MOST_VPX_THREADS))),
    "vp9": (caps("video/x-vp9"), lambda threads: element("vp9dec", threads=min(threads, _MOST_VPX_THREADS))),
    "mpeg2video": (element("mpegvideoparse"), lambda _: element("avdec_mpeg2video")),
    "mpeg4": (element("mpeg4videoparse"), lambda _: element("avdec_mpeg4")),
}
_AUDIO: Mapping[str, tuple[list[str], list[str]]] = {
    "aac": (element("aacparse"), element("avdec_aac")),
    "mp3": (element("mpegaudioparse"), element("avdec_mp3")),
    "mp2": (element("mpegaudioparse"), element("avdec_mp2float")),
    "ac3": (element("ac3parse"), element("avdec_ac3")),
    "flac": (element("flacparse"), element("flacdec")),
    "opus": (caps("audio/x-opus"), element("opusdec")),
    "vorbis": (caps("audio/x-vorbis"), element("vorbisdec")),
}
Found = TypeVar("Found")


def queue() -> list[str]:
    """A thread of its own for what comes after it."""
    return element("queue", max_size_buffers=0, max_size_time=0, max_size_bytes=_QUEUE_BYTES)


def demuxer(container: str) -> list[str]:
    """The one that opens this container; AttemptFailed when there is none."""
    return element(_known(_DEMUXERS, container), name=_DEMUXER)


def decoded_video(codec: str, threads: int) -> list[str]:
    """The first picture track of the demuxer, as raw pictures."""
    parser, decoder = _known(_VIDEO, codec)
    return linked([f"{_DEMUXER}."], parser, queue(), decoder(threads))


def audio_track(codec: str) -> list[str]:
    """The next sound track of that codec, as it is."""
    return linked([f"{_DEMUXER}."], _known(_AUDIO, codec)[0], queue())


def decoded_audio(codec: str) -> list[str]:
    """The next sound track of that codec, as raw samples."""
    if codec.startswith("pcm_"):
        return linked([f"{_DEMUXER}."], caps("audio/x-raw"), queue())
    return linked(audio_track(codec), _known(_AUDIO, codec)[1])


def _known(table: Mapping[str, Found], name: str) -> Found:
    found = table.get(name)
    if found is None:
        raise AttemptFailed(input_failure.UNSUPPORTED)
    return found


def parts() -> list[str]:
    """Every element that opens a source, unlinked: a pipeline of them shows whether they are installed."""
    words: list[str] = list(_DEMUXERS.values())
    for parser, decoder in _VIDEO.values():
        words += [*parser, *decoder(1)]
    for parser, decoder in _AUDIO.values():
        words += [*parser, *decoder]
    return words
