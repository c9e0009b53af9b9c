"""The process that opens strangers' files to look at them: ``python -m reelmill.worker.probe_process``.

One JSON line in (``ProbeRequest``), one out (``ProbeReply``); a ``ProbeReply`` with nothing in it comes first and says
that it is ready. It is limited before it opens anything, and its parent kills it when it takes too long.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import stat
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import BinaryIO, NamedTuple, cast

import av
import av.logging
import msgspec
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import DecoderNotFoundError, FFmpegError, InvalidDataError
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from reelmill.domain.failure import Failure
from reelmill.domain.picture import MOST_PIXELS
from reelmill.media import input_failure
from reelmill.worker.codec_name import codec_name
from reelmill.worker.cutting import Cutting, cut
from reelmill.worker.media_info import (
    MEDIA_FORMATS,
    MEDIA_PROTOCOLS,
    DynamicRange,
    MediaInfo,
    our_codec_name,
    our_container_name,
)
from reelmill.worker.probe_words import ProbeReply, ProbeRequest

_ADDRESS_SPACE = 2 * 1024**3
_OPEN_FILES = 64
_PACKETS_TO_A_PICTURE = 64
_PIECE_BYTES = 1 << 20
_FIRST_PICTURES = 25
_DECODE_SECONDS = 5.0
_DYNAMIC_RANGES: dict[int, DynamicRange] = {16: "pq", 18: "hlg"}  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67
_WEBM, _EBML_HEAD_BYTES = b"\x42\x82\x84webm", 64
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")


class _Pictures(NamedTuple):
    """``seconds`` are from the first one's start to the last one's end; see `MediaInfo` for the rest."""

    frames: int
    seconds: float
    key_frames: str
    unevenness: float | None = None


class _Picture(NamedTuple):
    """``rotation`` is by how many degrees a player turns it."""

    rotation: int = 0
    interlaced: bool = False
    encrypted: bool = False


def main() -> None:
    """Answer requests until stdin ends."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not be taken for a reply
    limit()
    av.logging.set_level(av.logging.PANIC)
    _send(replies, ProbeReply())
    decoder = msgspec.json.Decoder(ProbeRequest)
    for line in sys.stdin.buffer:
        request = decoder.decode(line)
        _send(replies, answer(request))


def limit() -> None:
    """Give up what a probe never needs: much memory, writing to files, many open files, a core dump."""
    for kind, most in (
        (resource.RLIMIT_AS, _ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)  # a worker may have less itself
        resource.setrlimit(kind, (limit, limit))


def answer(request: ProbeRequest) -> ProbeReply:
    """The reply to one request; a fault of the file is a failure in it, never an exception."""
    path = os.fsdecode(request.path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  a FIFO would block, a device would not end
            return ProbeReply(failure=input_failure.IS_FOLDER)
        if request.picture:
            return _see(path)
        with _open(path) as container:
            if request.cutting is not None:
                return _cut(container, request.cutting)
            reply = _listen(container) if request.sound_only else _look(container, path, request.count_frames)
        if reply.info is not None and reply.info.container == "matroska" and _is_webm(path):
            reply = ProbeReply(msgspec.structs.replace(reply.info, container="webm"))
        if reply.failure == input_failure.INVALID and _claims_too_many_pixels(path):
            return ProbeReply(failure=input_failure.TOO_LARGE)
        return reply
    except MemoryError:
        return ProbeReply(failure=input_failure.TOO_LARGE)
    except (FFmpegError, OSError, ValueError) as error:
        return ProbeReply(failure=_failure(path, error))


def _open(path: str, more: Mapping[str, str] | None = None) -> InputContainer:
    options = {
        "protocol_whitelist": ",".join(MEDIA_PROTOCOLS),
        "format_whitelist": ",".join(MEDIA_FORMATS),
        "max_pixels": str(MOST_PIXELS),
        **(more or {}),
    }
    # The prefix keeps a name with a colon from being read as a protocol.
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _claims_too_many_pixels(path: str) -> bool:
    """Whether the headers say so: opened with the limit, such a stream has no size at all. Nothing is decoded."""
    options = {"format_whitelist": ",".join(MEDIA_FORMATS), "protocol_whitelist": ",".join(MEDIA_PROTOCOLS)}
    with av.open(f"file:{path}", options={**options, "probesize": "32", "analyzeduration": "0"}) as container:
        return any(stream.width * stream.height > MOST_PIXELS for stream in container.streams.video)


def _look(container: InputContainer, path: str, count_frames: bool) -> ProbeReply:
    films = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    video = next(films, None)
    if video is None:
        return ProbeReply(failure=input_failure.NO_VIDEO)
    context = cast("VideoCodecContext | None", video.codec_context)
    if context is None:
        return ProbeReply(failure=input_failure.UNSUPPORTED)
    duration = container.duration / av.time_base if container.duration is not None else 0.0
    frames, video_duration, fps = video.frames, _stated_duration(video), video.average_rate or video.guessed_rate
    if container.format.name == "avi" and fps:  # its length is made from what is there, its frames are a claim
        duration = max(duration, float(frames / fps))
    sar = video.sample_aspect_ratio or Fraction(1)
    pictures: _Pictures | None = None
    if count_frames or duration <= 0:
        pictures = _count(container, video)
        frames, video_duration = pictures.frames, pictures.seconds
        duration = duration if duration > 0 else pictures.seconds
    if context.width <= 0 or context.height <= 0 or not fps or duration <= 0:
        return ProbeReply(failure=input_failure.INVALID)
    if context.width * context.height > MOST_PIXELS:
        return ProbeReply(failure=input_failure.TOO_LARGE)
    first = _first_picture(container, video, rewind=count_frames)
    if first.encrypted:
        return ProbeReply(failure=input_failure.ENCRYPTED)
    decodes = not count_frames or _ends_decode(path)
    codec, record = our_codec_name(context.codec.canonical_name), context.extradata or b""
    info = MediaInfo(
        container=our_container_name(container.format.name),
        duration=duration,
        codec=codec,
        width=context.width,
        height=context.height,
        fps=float(fps),
        video_duration=video_duration,
        frames=frames,
        sar=(sar.numerator, sar.denominator) if sar > 0 else (1, 1),
        rotation=first.rotation,
        audio_codecs=tuple(_codec_name(stream) for stream in container.streams.audio),
        audio_channels=tuple(_channels(stream) for stream in container.streams.audio),
        subtitle_codecs=tuple(_codec_name(stream) for stream in container.streams.subtitles),
        pixel_format=context.pix_fmt or "",
        dynamic_range=_DYNAMIC_RANGES.get(context.color_trc, "sdr"),
        interlaced=first.interlaced,
        ends_decode=decodes,
        unevenness=None if pictures is None else pictures.unevenness,
        key_frames="" if pictures is None else pictures.key_frames,
        setup=hashlib.sha256(record).hexdigest() if count_frames else "",
        name=codec_name(codec, record) if count_frames else "",
    )
    return ProbeReply(info=info)


def _ends_decode(path: str) -> bool:
    """Whether the first pictures, and those from the last key picture on, can be decoded, as far as time allows."""
    deadline = time.monotonic() + _DECODE_SECONDS
    strict = {"err_detect": "explode"}  # else damage is drawn over
    try:
        with _open(path, strict) as container:
            video = container.streams.video[0]
            pictures = _decode(container, video, _FIRST_PICTURES, deadline)
            if pictures < _FIRST_PICTURES or container.duration is None:
                return pictures > 0
        with _open(path, strict) as container:
            video = container.streams.video[0]
            container.seek(container.duration or 0)
            return _decode(container, video, None, deadline) > 0
    except DecoderNotFoundError:  # nothing is known, and the engine had an encoder
        return True
    except (FFmpegError, ValueError):
        return False


def _decode(container: InputContainer, video: VideoStream, most: int | None, deadline: float) -> int:
    count = 0
    for packet in container.demux(video):
        count += len(packet.decode())
        if (most is not None and count >= most) or (count and time.monotonic() > deadline):
            break
    return count


def _listen(container: InputContainer) -> ProbeReply:
    duration = container.duration / av.time_base if container.duration is not None else 0.0
    info = MediaInfo(
        container=our_container_name(container.format.name),
        duration=duration,
        codec="",
        width=0,
        height=0,
        fps=0.0,
        audio_codecs=tuple(_codec_name(stream) for stream in container.streams.audio),
        audio_channels=tuple(_channels(stream) for stream in container.streams.audio),
    )
    return ProbeReply(info=info)


def _see(path: str) -> ProbeReply:
    """Of one picture, all of it."""
    options = {"protocol_whitelist": ",".join(MEDIA_PROTOCOLS)}
    with av.open(f"file:{path}", format="jpeg_pipe", options=options) as container:
        container.streams.video[0].codec_context.options = {"err_detect": "explode"}  # else what lacks is drawn over
        frame = next(container.decode(video=0), None)
    if frame is None:
        return ProbeReply(failure=input_failure.INVALID)
    info = MediaInfo(
        container="jpeg",
        codec="mjpeg",
        pixel_format=frame.format.name,
        width=frame.width,
        height=frame.height,
        duration=0,
        fps=0,
    )
    return ProbeReply(info=info)


def _codec_name(stream: AudioStream | SubtitleStream) -> str:
    context = cast("CodecContext | None", stream.codec_context)
    return "unknown" if context is None else context.codec.canonical_name


def _channels(stream: AudioStream) -> int:
    context = cast("AudioCodecContext | None", stream.codec_context)
    return 0 if context is None else context.channels


def _is_webm(path: str) -> bool:
    """Whether a Matroska file says that it is of this kind; both have the same demuxer."""
    with open(path, "rb") as file:  # noqa: PTH123  the name may be no text
        return _WEBM in file.read(_EBML_HEAD_BYTES)


def _stated_duration(video: VideoStream) -> float | None:
    if video.duration is not None and video.time_base is not None:
        return float(video.duration * video.time_base)
    return _clock_seconds(video.metadata.get("DURATION", ""))  # where Matroska's writers put it


def _clock_seconds(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _count(container: InputContainer, video: VideoStream) -> _Pictures:
    """What all pictures of the stream tell; nothing is decoded."""
    starts, last, keys = array("q"), None, hashlib.blake2b(digest_size=8)
    frames = 0
    for packet in container.demux(video):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.is_keyframe:
            keys.update(f"{frames} ".encode())
        frames += 1
        start = packet.pts if packet.pts is not None else packet.dts
        if start is not None:
            starts.append(start)
            end = start + (packet.duration or 0)
            last = end if last is None else max(last, end)
    if last is None or video.time_base is None:
        rate = video.average_rate or video.guessed_rate  # a raw stream has no times
        return _Pictures(frames, float(frames / rate) if rate else 0.0, keys.hexdigest())
    in_order = sorted(starts)
    uneven = None if len(in_order) != frames else float(_unevenness(in_order) * video.time_base)
    return _Pictures(frames, float((last - in_order[0]) * video.time_base), keys.hexdigest(), uneven)


def _unevenness(starts: Sequence[int]) -> float:
    """By how much at most one of these is off an even row from the first to the last."""
    step = (starts[-1] - starts[0]) / max(1, len(starts) - 1)
    return max(abs(start - starts[0] - number * step) for number, start in enumerate(starts))


def _cut(container: InputContainer, asked: Cutting) -> ProbeReply:
    """The chunks of the first film; a single one when its first picture cannot be found."""
    video = next(stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    began = Fraction(container.start_time or 0, av.time_base)

    def next_key() -> Fraction | None:
        for packet in container.demux(video):
            if packet.size and packet.is_keyframe and packet.pts is not None:
                return packet.pts * packet.time_base - began
        return None

    def find_key(seconds: float) -> Fraction | None:
        container.seek(round((seconds + float(began)) * av.time_base))
        return next_key()

    first = next_key()
    return ProbeReply(chunks=() if first is None else cut(asked, first, find_key))


def _first_picture(container: InputContainer, video: VideoStream, *, rewind: bool) -> _Picture:
    """What the first picture, the only one that is decoded, tells of the others."""
    video.codec_context.thread_count = 1
    try:
        if rewind:
            container.seek(0)
        for number, packet in enumerate(container.demux(video)):
            if packet.has_sidedata("encryption_info"):
                return _Picture(encrypted=True)
            for frame in packet.decode():
                return _Picture(round(frame.rotation) % 360, bool(frame.interlaced_frame))
            if number >= _PACKETS_TO_A_PICTURE:
                break
    except (FFmpegError, ValueError):
        pass  # the engine will say what is wrong with the pictures
    return _Picture()


def _failure(path: str, error: Exception) -> Failure:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, InvalidDataError):
        return input_failure.TRUNCATED if _begins_like_mp4(path) else input_failure.NOT_MEDIA
    if isinstance(error, DecoderNotFoundError):
        return input_failure.UNSUPPORTED
    match number:
        case errno.ENOENT | errno.ENOTDIR:
            return input_failure.MISSING
        case errno.EACCES | errno.EPERM:
            return input_failure.PERMISSION
        case errno.EIO if _can_be_read(path):  # libav's word for several kinds of damage, too
            return input_failure.INVALID
        case errno.EIO | errno.ESTALE:
            return Failure("platform_error", "io_error", "The input could not be read; check its disk or share.")
        case _:
            return input_failure.NOT_MEDIA  # among them EINVAL: a format that is not on the list


def _can_be_read(path: str) -> bool:
    """Whether the disk gives all of the file."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  the name may be no text
            while file.read(_PIECE_BYTES):
                pass
    except OSError:
        return False
    return True


def _begins_like_mp4(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123  the name may be no text
        return file.read(8)[4:] in _MP4_BOXES
    return False


def _send(replies: BinaryIO, reply: ProbeReply) -> None:
    replies.write(msgspec.json.encode(reply) + b"\n")


if __name__ == "__main__":
    main()
