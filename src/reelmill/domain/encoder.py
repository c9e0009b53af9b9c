"""The encoders that may be asked for by name, as ffmpeg calls them; the codec follows from the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from types import MappingProxyType

from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField

SOFTWARE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "h264": ("libx264",),
        "h265": ("libx265",),
        "vp9": ("libvpx-vp9",),
        "av1": ("libsvtav1", "libaom-av1"),
        "mjpeg": ("mjpeg",),
    }
)
HARDWARE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "h264": ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox", "h264_vaapi"),
        "h265": ("hevc_nvenc", "hevc_qsv", "hevc_amf", "hevc_videotoolbox", "hevc_vaapi"),
        "av1": ("av1_nvenc", "av1_qsv", "av1_amf", "av1_vaapi"),
    }
)
"""Both: encoders of each codec, the preferred one first."""

FAMILIES = tuple(name.rpartition("_")[2] for name in HARDWARE["h264"])
MOST_SESSIONS = 1000

_CODEC_OF = {name: codec for table in (SOFTWARE, HARDWARE) for codec, encoders in table.items() for name in encoders}
_IN_HARDWARE = frozenset(chain.from_iterable(HARDWARE.values()))


def is_hardware(encoder: str) -> bool:
    """Whether that is one of the hardware encoders."""
    return encoder in _IN_HARDWARE


def device_family(encoder: str) -> str | None:
    """The kind of device that a hardware encoder runs on, such as ``nvenc``; None for one in software."""
    return encoder.rpartition("_")[2] if is_hardware(encoder) else None


def parse_sessions(field: str, written: Iterable[str]) -> dict[str, int]:
    """How many encodes each family may do at once, written such as ``nvenc=3``; InvalidField when it makes no sense."""
    limits: dict[str, int] = {}
    for text in written:
        family, _, number = text.strip().partition("=")
        if family not in FAMILIES:
            raise InvalidField(field, unknown_name("kind of device", family, FAMILIES) + "; write it like nvenc=3")
        if not (number.isdecimal() and 1 <= int(number) <= MOST_SESSIONS):
            raise InvalidField(field, f"{text[:60]!r} must have a whole number from 1 to {MOST_SESSIONS:,}")
        if limits.setdefault(family, int(number)) != int(number):
            raise InvalidField(field, f"{family} is given twice")
    return limits


def codec_of(field: str, encoder: str) -> str:
    """The codec that the encoder makes; InvalidField of that ``field``, with all names, when there is none of it."""
    if encoder not in _CODEC_OF:
        sentence = unknown_name("encoder", encoder[:60], _CODEC_OF)
        raise InvalidField(field, f"names an {sentence}; known are {', '.join(_CODEC_OF)}")
    return _CODEC_OF[encoder]
