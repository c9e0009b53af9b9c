"""What is known of a media file without decoding it, and which kinds of file are opened at all."""

from __future__ import annotations

from typing import Literal

import msgspec

MEDIA_FORMATS = (
    *("mov", "matroska", "webm", "mpegts", "mpeg", "mpegvideo", "m4v", "avi", "flv", "asf", "ogg", "mxf", "gxf"),
    *("nut", "ivf", "obu", "h264", "hevc", "yuv4mpegpipe", "dv", "rm", "wtv", "mp3", "wav", "flac", "aac"),
)
"""The demuxers that may open a stranger's file: plain containers. Playlists, concat scripts, devices, image
sequences and protocol-like demuxers name other files or hosts, and are told by content, not by the file's name."""

MEDIA_PROTOCOLS = ("file",)

_OUR_CODEC_NAMES = {"hevc": "h265"}
_OUR_CONTAINERS = ("mp4", "matroska", "mpegts")


DynamicRange = Literal["sdr", "pq", "hlg"]


class MediaInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was probed. ``width`` x ``height`` are stored pixels, before aspect and rotation are applied.

    ``duration`` is that of the file, ``video_duration`` that of its first video stream (seconds); the latter is None
    when the file does not say. ``frames`` is exact when frames were counted, else what the file claims (0: nothing).
    ``sar`` is the shape of a pixel, ``rotation`` how many degrees a player turns the picture. ``interlaced`` is that of
    the first picture, ``audio_channels`` are those of each audio stream (0: it does not say).
    When frames were counted, ``unevenness`` is by how many seconds at most a picture is off an even rate, and ``setup``
    the hash of what its encoder says of itself once: equal when pictures of two files can follow each other;
    ``key_frames`` stands for which pictures are key frames, and ``name`` is what players call its codec in an MP4
    (RFC 6381; of those of ladders).
    """

    container: str
    duration: float
    codec: str
    width: int
    height: int
    fps: float
    video_duration: float | None = None
    frames: int = 0
    sar: tuple[int, int] = (1, 1)
    rotation: int = 0
    audio_codecs: tuple[str, ...] = ()
    audio_channels: tuple[int, ...] = ()
    subtitle_codecs: tuple[str, ...] = ()
    pixel_format: str = ""
    dynamic_range: DynamicRange = "sdr"
    interlaced: bool = False
    ends_decode: bool = True
    """False when frames were counted and the first or the last pictures could not be decoded."""
    unevenness: float | None = None
    setup: str = ""
    key_frames: str = ""
    name: str = ""

    @property
    def is_hdr(self) -> bool:
        """Whether its light is written in one of the two ways of HDR."""
        return self.dynamic_range != "sdr"

    def channels_of(self, index: int) -> int | None:
        """How many channels that audio stream has; None when nobody knows."""
        return (self.audio_channels[index] or None) if index < len(self.audio_channels) else None

    @property
    def display_size(self) -> tuple[float, float]:
        """Width and height as a player shows the picture, in square pixels."""
        width = self.width * self.sar[0] / self.sar[1]
        return (self.height, width) if self.rotation % 180 == 90 else (width, self.height)


def our_codec_name(name: str) -> str:
    """The codec as scenarios call it; ffmpeg's own name when no scenario encodes it."""
    return _OUR_CODEC_NAMES.get(name, name)


def our_container_name(formats: str) -> str:
    """Ours from a demuxer's name list such as ``mov,mp4,m4a``; else the first of the list."""
    names = formats.split(",")
    return next((name for name in _OUR_CONTAINERS if name in names), names[0])
