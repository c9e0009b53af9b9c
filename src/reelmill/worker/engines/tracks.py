"""What becomes of a source's audio and subtitle tracks in a container."""

from __future__ import annotations

from typing import Literal

from reelmill.domain.container import Container
from reelmill.domain.failure import Failure
from reelmill.domain.sound import Sound
from reelmill.media.failed import AttemptFailed
from reelmill.worker.media_info import MediaInfo

AudioHandling = Literal["copy", "encode"]

_PICTURE_SUBTITLES = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"})
_MATROSKA_SUBTITLES = frozenset({"subrip", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"})


def plan_audio(source: MediaInfo, sound: Sound, container: Container) -> tuple[AudioHandling, ...]:
    """What is done to each audio track; AttemptFailed when one must be copied into a container that refuses it."""
    if sound.codec == "none":
        return ()
    if sound.codec == "copy":
        for codec in source.audio_codecs:
            if not container.takes_audio(codec):
                message = (
                    f"The input's sound is {codec}, which does not go into {container.name} as it is; "
                    "use a scenario that encodes the sound, or an output that ends in .mkv."
                )
                raise AttemptFailed(Failure("user_error", "audio_not_copyable", message))
        return ("copy",) * len(source.audio_codecs)
    wanted = sound.codec_in(container)
    return tuple("copy" if codec == wanted and not sound.changes else "encode" for codec in source.audio_codecs)


def plan_subtitles(source: MediaInfo, container: Container) -> tuple[str, ...]:
    """The encoder of each subtitle track, or ``copy``; AttemptFailed when the container cannot hold one."""
    return tuple(_subtitle_encoder(codec, container) for codec in source.subtitle_codecs)


def _subtitle_encoder(codec: str, container: Container) -> str:
    if container.name == "mkv" and codec in _MATROSKA_SUBTITLES:
        return "copy"
    if container.subtitles is None or codec in _PICTURE_SUBTITLES:
        message = (
            f"The input has subtitles of the kind {codec}, which do not go into {container.name}; "
            "use an output that ends in .mkv, or a scenario without subtitles."
        )
        raise AttemptFailed(Failure("user_error", "subtitles_not_kept", message))
    return container.subtitles
