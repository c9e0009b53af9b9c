"""What players call the codec of a track (RFC 6381), read from the decoder configuration record of an MP4."""

from __future__ import annotations

_AV1_FIRST = 0x81  # a marker and the version
_LEAST_BYTES = {"h264": 4, "h265": 13, "av1": 4}


def codec_name(codec: str, record: bytes) -> str:
    """Such as ``avc1.640028``; of h264, h265 and av1. ``""`` when it is another codec, or not such a record."""
    if len(record) < _LEAST_BYTES.get(codec, len(record) + 1):
        return ""
    match codec:
        case "h264":
            return f"avc1.{record[1:4].hex()}" if record[0] == 1 else ""
        case "h265":
            return _hevc(record) if record[0] == 1 else ""
        case _:
            return _av1(record) if record[0] == _AV1_FIRST else ""


def _hevc(record: bytes) -> str:
    """ISO/IEC 14496-15, Annex E."""
    space, tier, profile = record[1] >> 6, record[1] >> 5 & 1, record[1] & 0x1F
    compatible = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = [f"{byte:X}" for byte in record[6:12].rstrip(b"\0")]
    first = f"hvc1.{('', 'A', 'B', 'C')[space]}{profile}"
    return ".".join([first, f"{compatible:X}", f"{'LH'[tier]}{record[12]}", *constraints])


def _av1(record: bytes) -> str:
    """The AV1 Codec ISO Media File Format Binding, section 5."""
    profile, level = record[1] >> 5, record[1] & 0x1F
    tier, is_high, is_twelve = record[2] >> 7, record[2] >> 6 & 1, record[2] >> 5 & 1
    depth = 12 if is_twelve else 10 if is_high else 8
    return f"av01.{profile}.{level:02}{'MH'[tier]}.{depth:02}"
