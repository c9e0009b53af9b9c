"""Playlists of a ladder: ffmpeg's are read, and those that players begin with are written, HLS or DASH.

ffmpeg's own master playlist leaves the sound out of the bandwidths, and its MPD wants all rungs of one exact aspect.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import NamedTuple

from reelmill.domain.picture import exact_rate

HLS_VERSION = 7
_INFO = re.compile(r"#EXTINF:([\d.]+),")
_RANGE = re.compile(r"(\d+)@(\d+)")
_TIMESCALE = 90_000


class Segment(NamedTuple):
    """``size`` bytes from ``offset`` on, which play for so many ``seconds``."""

    seconds: float
    offset: int
    size: int


class MediaPlaylist(NamedTuple):
    """One track file: its ``header`` bytes come first; ``target`` is the promised longest segment, in seconds."""

    file: str
    header: int
    segments: tuple[Segment, ...]
    target: float
    ended: bool

    @property
    def seconds(self) -> float:
        return sum(segment.seconds for segment in self.segments)

    @property
    def end(self) -> int:
        """Bytes up to the end of the last segment."""
        return self.segments[-1].offset + self.segments[-1].size if self.segments else self.header

    @property
    def peak(self) -> int:
        """The bit/s of the segment with the most of them."""
        return max((round(8 * one.size / one.seconds) for one in self.segments if one.seconds > 0), default=0)

    @property
    def average(self) -> int:
        """The bit/s of all segments together."""
        return round(8 * sum(one.size for one in self.segments) / self.seconds) if self.seconds else 0


class Track(NamedTuple):
    """A rung or the sound, as players are told of it. ``codecs`` is its RFC 6381 name."""

    name: str
    codecs: str
    playlist: MediaPlaylist
    width: int = 0
    height: int = 0
    fps: float = 0.0
    channels: int = 0


def read_media_playlist(text: str) -> MediaPlaylist:
    """A media playlist with byte ranges; ValueError when it is none."""
    file, header, target, segments, seconds, span = "", -1, 0.0, list[Segment](), 0.0, None
    lines = text.splitlines()
    if not lines or lines[0] != "#EXTM3U":
        raise ValueError("it does not begin with #EXTM3U")
    for line in lines[1:]:
        tag, _, rest = line.partition(":")
        match tag:
            case "#EXT-X-TARGETDURATION":
                target = float(rest)
            case "#EXT-X-MAP":
                header = _read_range(rest.partition("BYTERANGE=")[2].partition(",")[0].strip('"'))[1]
            case "#EXTINF":
                found = _INFO.fullmatch(line)
                seconds = float(found[1]) if found else 0.0
            case "#EXT-X-BYTERANGE":
                span = _read_range(rest)
            case _ if line and not line.startswith("#"):
                if span is None or (file and line != file):
                    raise ValueError("it is not one file with byte ranges")
                file = line
                segments.append(Segment(seconds, *span))
                span = None
            case _:
                pass
    if header < 0 or not segments:
        raise ValueError("it names no segments")
    return MediaPlaylist(file, header, tuple(segments), target, "#EXT-X-ENDLIST" in lines)


def _read_range(text: str) -> tuple[int, int]:
    """Offset and size."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no byte range")
    return int(found[2]), int(found[1])


def write_master(rungs: Sequence[Track], sound: Track | None) -> str:
    """The HLS master playlist (RFC 8216): each rung with its sound, the largest first."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{HLS_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if sound is not None:
        channels = f',CHANNELS="{sound.channels}"' if sound.channels else ""
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{sound.name}",NAME="{sound.name}",DEFAULT=YES,AUTOSELECT=YES'
            f'{channels},URI="{sound.name}.m3u8"'
        )
    more, group = (0, "") if sound is None else (sound.playlist.peak, f',AUDIO="{sound.name}"')
    average = 0 if sound is None else sound.playlist.average
    for rung in rungs:
        codecs = rung.codecs if sound is None else f"{rung.codecs},{sound.codecs}"
        peak, usual = rung.playlist.peak + more, rung.playlist.average + average
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={usual},"
            f'CODECS="{codecs}",RESOLUTION={rung.width}x{rung.height},FRAME-RATE={rung.fps:.3f}{group}',
            f"{rung.name}.m3u8",
        ]
    return "\n".join(lines) + "\n"


def write_mpd(rungs: Sequence[Track], sound: Track | None) -> str:
    """The DASH manifest (ISO/IEC 23009-1): the same track files, each segment by its byte range."""
    seconds = max(track.playlist.seconds for track in rungs)
    longest = max(segment.seconds for track in rungs for segment in track.playlist.segments)
    root = ET.Element(
        "MPD",
        {
            "xmlns": "urn:mpeg:dash:schema:mpd:2011",
            "profiles": "urn:mpeg:dash:profile:isoff-main:2011",
            "type": "static",
            "mediaPresentationDuration": f"PT{seconds:.3f}S",
            "minBufferTime": f"PT{longest:.3f}S",
        },
    )
    period = ET.SubElement(root, "Period", {"id": "0", "start": "PT0S"})
    common = {"segmentAlignment": "true", "startWithSAP": "1"}
    pictures = ET.SubElement(period, "AdaptationSet", {"id": "0", "contentType": "video", **common})
    for rung in rungs:
        size = {"width": str(rung.width), "height": str(rung.height), "frameRate": _rate(rung.fps), "sar": "1:1"}
        _add_representation(pictures, rung, "video/mp4", size)
    if sound is not None:
        heard = ET.SubElement(period, "AdaptationSet", {"id": "1", "contentType": "audio", **common})
        _add_representation(heard, sound, "audio/mp4", {})
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_representation(parent: ET.Element, track: Track, kind: str, more: dict[str, str]) -> None:
    playlist = track.playlist
    about = {"id": track.name, "mimeType": kind, "codecs": track.codecs, "bandwidth": str(playlist.peak)}
    representation = ET.SubElement(parent, "Representation", {**about, **more})
    if track.channels:
        scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
        ET.SubElement(
            representation, "AudioChannelConfiguration", {"schemeIdUri": scheme, "value": str(track.channels)}
        )
    ET.SubElement(representation, "BaseURL").text = playlist.file
    segments = ET.SubElement(representation, "SegmentList", {"timescale": str(_TIMESCALE)})
    ET.SubElement(segments, "Initialization", {"range": f"0-{playlist.header - 1}"})
    timeline = ET.SubElement(segments, "SegmentTimeline")
    at = 0
    for segment in playlist.segments:
        length = round(segment.seconds * _TIMESCALE)
        ET.SubElement(timeline, "S", {"t": str(at), "d": str(length)})
        at += length
    for segment in playlist.segments:
        span = f"{segment.offset}-{segment.offset + segment.size - 1}"
        ET.SubElement(segments, "SegmentURL", {"mediaRange": span})


def _rate(fps: float) -> str:
    exact = exact_rate(fps)
    return f"{exact.numerator}/{exact.denominator}" if exact.denominator > 1 else str(exact.numerator)
