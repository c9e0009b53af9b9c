"""What players call codecs; tests/integration/worker/test_ladder_encode.py compares real ones with ffmpeg's names."""

from __future__ import annotations

import pytest

from reelmill.worker.codec_name import codec_name

HEVC = "0121600000009000000000005d"


@pytest.mark.parametrize(
    ("codec", "record", "name"),
    [
        ("h264", "01640028ffe1", "avc1.640028"),
        ("h265", HEVC, "hvc1.1.6.H93.90"),
        ("h265", "01" + "42" + "20000000" + "b00000000000" + "7b", "hvc1.A2.4.L123.B0"),
        ("av1", "81090c00", "av01.0.09M.08"),
        ("av1", "812de000", "av01.1.13H.12"),
        ("vp9", "01640028ffe1", ""),
        ("h264", "0000000167640028", ""),
        ("h264", "0164", ""),
        ("h265", HEVC[:-2], ""),
        ("av1", "", ""),
    ],
)
def test_names_are_read_from_the_record(codec: str, record: str, name: str) -> None:
    """Profile, level, tier and depth; nothing of what is no such record."""
    assert name == codec_name(codec, bytes.fromhex(record))
