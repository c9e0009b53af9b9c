"""P8: an output counts only when it is what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.verify import verify

PlanFor = Callable[..., EncodePlan]
GOOD = MediaInfo(
    container="mp4",
    duration=10.0,
    video_duration=10.0,
    codec="h264",
    width=1920,
    height=1080,
    fps=30.0,
    frames=300,
    audio_codecs=("aac",),
    pixel_format="yuv420p",
)


def test_the_right_output_passes(source: MediaInfo, plan_for: PlanFor) -> None:
    """What was asked for is accepted, within a quarter of a second."""
    for change in ({}, {"duration": 10.2}, {"frames": 295}, {"fps": 30.01}):
        assert verify(plan_for(source=source), msgspec.structs.replace(GOOD, **change)) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"container": "matroska"}, "container"),
        ({"codec": "h265"}, "codec"),
        ({"width": 1918}, "size"),
        ({"sar": (4, 3)}, "pixel shape"),
        ({"rotation": 90}, "rotation"),
        ({"audio_codecs": ("aac", "aac")}, "audio"),
        ({"fps": 29.0}, "frame rate"),
    ],
)
def test_each_departure_is_named(source: MediaInfo, plan_for: PlanFor, change: dict[str, Any], word: str) -> None:
    """The failure says what is wrong with the output and is no reason to try the same again."""
    failure = verify(plan_for(source=source), msgspec.structs.replace(GOOD, **change))
    assert failure is not None
    assert (failure.reason, failure.code) == ("runtime_error", "output_invalid")
    assert word in failure.message


@pytest.mark.parametrize("change", [{"duration": 4.0}, {"frames": 120}])
def test_a_short_output_of_a_real_input_blames_the_input(
    source: MediaInfo, plan_for: PlanFor, change: dict[str, Any]
) -> None:
    """ffmpeg encodes a truncated file to its early end and calls it a success; the job says `input_truncated`."""
    failure = verify(plan_for(source=source), msgspec.structs.replace(GOOD, **change))
    assert failure is not None
    assert (failure.reason, failure.code) == ("input_error", "input_truncated")


@pytest.mark.parametrize(
    ("change", "word"),
    [({"duration": 10.5}, "lasts"), ({"frames": 320}, "frames"), ({"audio_codecs": ()}, "audio tracks")],
)
def test_what_does_not_fit_the_inputs_own_words_blames_the_input(
    source: MediaInfo, plan_for: PlanFor, change: dict[str, Any], word: str
) -> None:
    """A header that promised less than there was, or a track in which there is nothing: `input_invalid`."""
    failure = verify(plan_for(source=source), msgspec.structs.replace(GOOD, **change))
    assert failure is not None
    assert ("input_error", "input_invalid", True) == (failure.reason, failure.code, word in failure.message)


def test_a_cut_that_is_too_long_blames_the_engine(source: MediaInfo, plan_for: PlanFor) -> None:
    """Where to cut was not the input's word."""
    failure = verify(plan_for(source=source, duration=5.0), GOOD)
    assert failure is not None
    assert "output_invalid" == failure.code


def test_a_picture_cannot_stay_longer_than_its_film(source: MediaInfo, plan_for: PlanFor) -> None:
    """An input that claims a picture in ten minutes does not excuse an output of any length."""
    still = msgspec.structs.replace(source, fps=1 / 600, duration=2.0, video_duration=2.0)
    assert verify(plan_for(source=still), msgspec.structs.replace(GOOD, duration=7.1, frames=213)) is not None


def test_a_short_synthetic_output_blames_the_engine(plan_for: PlanFor) -> None:
    """Where there is no input, none can be at fault."""
    failure = verify(plan_for(), msgspec.structs.replace(GOOD, duration=4.0, audio_codecs=()))
    assert failure is not None
    assert failure.code == "output_invalid"


def test_a_source_that_hides_its_pictures_length_is_not_held_against_it(source: MediaInfo, plan_for: PlanFor) -> None:
    """Sound may outlast the picture; then the output's own picture is the measure of its frames."""
    vague = plan_for(source=msgspec.structs.replace(source, video_duration=None))
    short_picture = msgspec.structs.replace(GOOD, video_duration=5.0, frames=150)
    assert verify(vague, short_picture) is None
    assert verify(vague, msgspec.structs.replace(short_picture, frames=100)) is not None
