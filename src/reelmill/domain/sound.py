"""The sound: what becomes of a source's audio tracks."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelmill.domain.container import Container
from reelmill.domain.quantity import format_bitrate
from reelmill.errors import InvalidField

AudioCodec = Literal["auto", "aac", "opus", "copy", "none"]

BITRATES = (16_000, 512_000)
LOUDNESS = (-40.0, -5.0)
"""LUFS, of integrated loudness; EBU R128 says -23, most streaming services -14 to -16."""

_CHANNELS = (1, 2, 6, 8)


class Sound(msgspec.Struct, frozen=True):
    """``codec`` ``auto`` is the container's preferred one; a track that has it already is copied if nothing is changed.

    ``bitrate`` in bit/s for each track, None for 160 kbit/s, or 64 kbit/s a channel where there are more than two.
    ``channels`` 1, 2, 6 (5.1) or 8 (7.1), None to keep them; ``loudness`` in LUFS normalises each track (EBU R128),
    None leaves it as it is.
    """

    codec: AudioCodec = "auto"
    bitrate: int | None = None
    channels: int | None = None
    loudness: float | None = None

    @property
    def changes(self) -> bool:
        """Whether more is asked than another codec."""
        return (self.bitrate, self.channels, self.loudness) != (None, None, None)

    def codec_in(self, container: Container) -> str:
        """The codec that tracks have in that container; ``copy`` and ``none`` as they are."""
        return container.audio[0] if self.codec == "auto" else self.codec


def check_sound(field: str, sound: Sound, container: Container | None) -> None:
    """InvalidField, named from ``field`` on; ``container`` is None when the output's name will tell it."""
    if container is not None and sound.codec not in ("auto", "copy", "none", *container.audio):
        fitting = " or ".join(container.audio)
        raise InvalidField(f"{field}.codec", f"{sound.codec!r} does not go into {container.name}; use {fitting}")
    if sound.changes and sound.codec in ("copy", "none"):
        name = next(name for name in ("bitrate", "channels", "loudness") if getattr(sound, name) is not None)
        raise InvalidField(f"{field}.{name}", f"has no meaning with codec {sound.codec!r}; use 'aac' or 'opus'")
    low, high = BITRATES
    if sound.bitrate is not None and not low <= sound.bitrate <= high:
        limits = f"{format_bitrate(low)} to {format_bitrate(high)}"
        raise InvalidField(f"{field}.bitrate", f"{sound.bitrate} is out of range ({limits})")
    if sound.channels is not None and sound.channels not in _CHANNELS:
        raise InvalidField(f"{field}.channels", f"{sound.channels} is none of {', '.join(map(str, _CHANNELS))}")
    quietest, loudest = LOUDNESS
    if sound.loudness is not None and not quietest <= sound.loudness <= loudest:
        reason = f"{sound.loudness:g} is out of range ({quietest:g} to {loudest:g} LUFS)"
        raise InvalidField(f"{field}.loudness", reason)
