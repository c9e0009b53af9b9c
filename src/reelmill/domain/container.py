"""Containers: what the file of an output is called, and what fits into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, NamedTuple

ContainerName = Literal["mp4", "mkv", "webm", "ts"]


class Container(NamedTuple):
    """One kind of file. ``muxer`` is ffmpeg's name for it, which results show too; ``media_type`` is that of HTTP.

    ``copies`` are the audio codecs that it takes as they are, ffmpeg's names; None is any. ``subtitles`` is the codec
    in which it keeps text, None when it keeps none.
    """

    name: ContainerName
    muxer: str
    video: frozenset[str]
    audio: tuple[str, ...]
    """The audio codecs that are encoded for it, the preferred one first."""
    copies: frozenset[str] | None
    subtitles: str | None
    media_type: str

    @property
    def suffix(self) -> str:
        """What the name of such a file ends in."""
        return f".{self.name}"

    def takes_audio(self, codec: str) -> bool:
        """Whether an audio stream of that codec fits in as it is."""
        return self.copies is None or codec in self.copies


_ALL = frozenset({"h264", "h265", "vp9", "av1"})
_MP4_AUDIO = frozenset({"aac", "opus", "mp3", "ac3", "eac3", "alac", "flac"})
_WEBM_AUDIO = frozenset({"opus", "vorbis"})
_TS_AUDIO = frozenset({"aac", "mp2", "mp3", "ac3"})
_CONTAINERS = (
    Container("mp4", "mp4", _ALL, ("aac", "opus"), _MP4_AUDIO, "mov_text", "video/mp4"),
    Container("mkv", "matroska", _ALL, ("aac", "opus"), None, "subrip", "video/x-matroska"),
    Container("webm", "webm", frozenset({"vp9", "av1"}), ("opus",), _WEBM_AUDIO, "webvtt", "video/webm"),
    Container("ts", "mpegts", frozenset({"h264", "h265"}), ("aac",), _TS_AUDIO, None, "video/mp2t"),
)
CONTAINERS: Mapping[str, Container] = MappingProxyType({one.name: one for one in _CONTAINERS})
"""By the name that scenarios use."""

BY_MUXER: Mapping[str, Container] = MappingProxyType({one.muxer: one for one in _CONTAINERS})
SUFFIXES: tuple[str, ...] = tuple(one.suffix for one in _CONTAINERS)


def container_of_name(path: str) -> Container | None:
    """What a file of that name is, in any case; None when no container is called so."""
    return CONTAINERS.get(PurePath(path).suffix.lower().removeprefix("."))
