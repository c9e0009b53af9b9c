"""What a scenario may ask of a file: nonsense is refused early, by the name of its field."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from reelmill.domain.capability import Capabilities, Needs, can_run, choose_engine
from reelmill.domain.container import CONTAINERS
from reelmill.domain.picture import Picture, exact_rate
from reelmill.domain.rate_control import RateControl
from reelmill.domain.rendition import check_output, check_scenario
from reelmill.domain.scenario import CATALOGUE, Scenario, find_scenario
from reelmill.domain.sound import Sound
from reelmill.errors import InvalidField


def changed(base: str = "720p30-h264", **fields: Any) -> Scenario:
    return msgspec.structs.replace(find_scenario(base), **fields)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_built_in_scenarios_make_sense(name: str) -> None:
    """Each passes the check that users' scenarios must pass, and needs nothing but its codec."""
    scenario = CATALOGUE[name]
    check_scenario(scenario)
    assert [scenario.codec] * 2 == [scenario.encoder_needed(CONTAINERS[name]) for name in ("mp4", "mkv")]


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"codec": "mpeg2"}, "codec", "none of"),
        ({"width": 1281}, "width", "odd"),
        ({"height": 719}, "height", "odd"),
        ({"width": 8}, "width", "out of range"),
        ({"width": 8192, "height": 8192}, "width", "8K"),
        ({"fps": 0}, "fps", "out of range"),
        ({"fps": 1000}, "fps", "out of range"),
        ({"preset": "5"}, "preset", "medium"),
        ({"codec": "av1", "preset": "medium"}, "preset", "13"),
        ({"bitrate_low": 5}, "bitrate_low", "out of range"),
        ({"bitrate_low": 4_000_000, "bitrate_high": 2_000_000}, "bitrate_low", "more than"),
        ({"cost": 0}, "cost", "out of range"),
        ({"keyframe_seconds": 0.0}, "keyframe_seconds", "out of range"),
        ({"keyframe_seconds": float("nan")}, "keyframe_seconds", "out of range"),
        ({"rate": RateControl("crf")}, "rate.crf", "needed"),
        ({"rate": RateControl("crf", 52)}, "rate.crf", "0 to 51"),
        ({"rate": RateControl("crf", -1)}, "rate.crf", "0 to 51"),
        ({"rate": RateControl("two-pass", 23)}, "rate.crf", "no meaning"),
        ({"rate": RateControl("bitrate", 23)}, "rate.crf", "no meaning"),
        ({"codec": "av1", "preset": "10", "rate": RateControl("two-pass")}, "rate.mode", "not done for av1"),
        ({"picture": Picture(dynamic_range="keep")}, "picture.dynamic_range", "10 bits"),
        ({"container": "webm"}, "container", "h264 does not go into webm; use mp4, mkv, ts"),
        ({"codec": "vp9", "preset": "5", "container": "ts"}, "container", "use mp4, mkv, webm"),
        ({"container": "ts", "subtitles": "keep"}, "subtitles", "ts"),
        ({"container": "ts", "audio": Sound("opus")}, "audio.codec", "use aac"),
        ({"audio": Sound(bitrate=1)}, "audio.bitrate", "out of range"),
        ({"audio": Sound(channels=3)}, "audio.channels", "none of"),
        ({"audio": Sound(loudness=0.0)}, "audio.loudness", "LUFS"),
        ({"audio": Sound(loudness=float("nan"))}, "audio.loudness", "LUFS"),
        ({"audio": Sound("copy", loudness=-23.0)}, "audio.loudness", "no meaning"),
        ({"audio": Sound("none", channels=2)}, "audio.channels", "no meaning"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_its_field(fields: dict[str, Any], field: str, word: str) -> None:
    """P9: before a job asks for it, and in words that say what may be."""
    with pytest.raises(InvalidField) as caught:
        check_scenario(changed(**fields))
    assert field == caught.value.field
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"codec": "vp9", "preset": "5"},
        {"codec": "vp9", "preset": "8", "container": "webm", "rate": RateControl("two-pass")},
        {"container": "ts", "fps": 23.976},
        {"codec": "h265", "pixel_format": "yuv420p10le", "picture": Picture(dynamic_range="keep")},
        {"audio": Sound("opus", 96_000, 2, -16.0), "subtitles": "keep"},
    ],
)
def test_what_makes_sense_is_accepted(fields: dict[str, Any]) -> None:
    """vp9 in mp4 is fine, and so is all that is usual."""
    check_scenario(changed(**fields))


@pytest.mark.parametrize(
    ("scenario", "output", "word"),
    [
        (changed(), "a.webm", "h264 does not go into webm"),
        (changed(), "a.avi", "must end in"),
        (changed(container="mkv"), "a.mp4", "must end in .mkv"),
        (changed("720p30-vp9", audio=Sound("aac")), "a.webm", "'aac' does not go into webm"),
        (changed(subtitles="keep"), "a.ts", "cannot be kept in ts"),
    ],
)
def test_an_output_must_hold_what_is_made(scenario: Scenario, output: str, word: str) -> None:
    """The name of a file says its container, and that must take the codecs."""
    with pytest.raises(InvalidField) as caught:
        check_output("parameters.output", scenario, output)
    assert "parameters.output" == caught.value.field
    assert word in str(caught.value)


def test_options_need_an_engine_that_has_them() -> None:
    """An engine or a worker of the version before, which know of none, never get such a job: it would be done wrong."""
    rich = changed(rate=RateControl("crf", 20))
    needs = Needs("auto", rich.encoder_needed(CONTAINERS["mp4"]), rich.cost)
    old = Capabilities(8, {"ffmpeg": ["h264"], "gstreamer": ["h264"]})
    new = msgspec.structs.replace(old, features={"ffmpeg": ["options"]})
    assert [can_run(node, needs) for node in (old, new)] == [False, True]
    assert "ffmpeg" == choose_engine(new, needs).engine
    assert not can_run(new, needs._replace(engine="gstreamer"))
    assert can_run(old, Needs("auto", "h264", 1))


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (24.0, Fraction(24)),
    ],
)
def test_rates_of_television_are_exact(fps: float, exact: Fraction) -> None:
    """29.97 is 30000/1001 frames per second, which keeps hours of film in step with their sound."""
    assert exact == exact_rate(fps)
