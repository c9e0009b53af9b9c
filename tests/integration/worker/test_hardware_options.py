"""The options of hardware encoders, held against what a real ffmpeg says of them; it needs no device for that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelmill.domain.encoder import HARDWARE
from reelmill.domain.scenario import CATALOGUE
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg_hardware import hardware_options
from reelmill.worker.inventory import find_ffmpeg
from reelmill.worker.process import ask

_OF_FFMPEG = ("-c:v", "-g", "-b:v", "-maxrate", "-bufsize", "-tag:v")
_ENCODERS = [(codec, name) for codec, names in HARDWARE.items() for name in names if "videotoolbox" not in name]


@pytest.mark.parametrize(("codec", "encoder"), _ENCODERS)
def test_an_encoder_has_the_options_that_it_is_given(codec: str, encoder: str) -> None:
    """Their names, and their values where these are names."""
    said = ask(find_ffmpeg().path, "-hide_banner", "-h", f"encoder={encoder}") or ""
    if f"Encoder {encoder}" not in said:
        pytest.skip(f"this ffmpeg was built without {encoder}")
    formats = re.search(r"Supported pixel formats: (.*)", said)
    argv = hardware_options(_plan(codec), encoder)
    for name, value in zip(argv[::2], argv[1::2], strict=True):
        if name == "-pix_fmt":
            assert formats is not None
            assert value in formats[1].split()
        elif name not in _OF_FFMPEG:
            option = re.search(rf"^  {name} .*\n((?:     .*\n)*)", said, re.MULTILINE)
            assert option is not None, (name, said)
            assert re.search(rf"^ +{value} ", option[1], re.MULTILINE), (name, value, option[1])


def _plan(codec: str) -> EncodePlan:
    scenario = next(one for one in CATALOGUE.values() if one.codec == codec)
    return EncodePlan(
        scenario=scenario,
        source=None,
        input_path=None,
        output_path=Path("/out.mp4"),
        width=scenario.width,
        height=scenario.height,
        duration=1.0,
        video_duration=1.0,
        limit=None,
        bitrate=1_000_000,
        threads=1,
        container="mp4",
        fps=30.0,
    )
