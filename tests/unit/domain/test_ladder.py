"""Ladders: what players can play is accepted, everything else is refused by its field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelmill.domain.capability import Capabilities, Needs, can_run
from reelmill.domain.ladder import Ladder, Rung
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.picture import Picture
from reelmill.domain.rate_control import RateControl
from reelmill.domain.rendition import check_scenario
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.scenario import CATALOGUE, LADDERS, Scenario, find_scenario, usual_cost
from reelmill.domain.sound import Sound
from reelmill.errors import InvalidField

BASE = LADDERS["ladder-hls"]
TWO = (Rung(1280, 720, 2_000_000), Rung(640, 360, 500_000))


def changed(**fields: Any) -> Scenario:
    """The built-in ladder with these fields; one with other rungs is as large as they are."""
    ladder: Ladder = fields.get("ladder", BASE.ladder)
    if ladder.rungs:
        top = ladder.rungs[0]
        size = {"width": top.width, "height": top.height}
        fields = {**size, "bitrate_low": ladder.bitrate, "bitrate_high": ladder.bitrate, **fields}
    return msgspec.structs.replace(BASE, **fields)


@pytest.mark.parametrize("name", LADDERS)
def test_the_built_in_ladders_make_sense(name: str) -> None:
    """They cost what their rungs cost, are found in any case, and `random` never draws one."""
    scenario = find_scenario(name.upper())
    check_scenario(scenario)
    assert (name, 7, 7) == (scenario.name, scenario.cost, usual_cost(scenario))
    assert scenario.ladder is not None
    assert ["1080p", "720p", "480p"] == [rung.name for rung in scenario.ladder.rungs]
    assert name not in CATALOGUE


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"codec": "vp9", "preset": "5"}, "codec", "h264, h265, av1"),
        ({"ladder": Ladder("hls", ())}, "ladder.rungs", "1 to 8"),
        ({"ladder": Ladder("hls", TWO[::-1])}, "ladder.rungs.1", "no step down"),
        ({"ladder": Ladder("hls", (TWO[0], Rung(640, 360, 3_000_000)))}, "ladder.rungs.1", "fewer bits"),
        ({"ladder": Ladder("hls", (TWO[0], Rung(641, 360, 500_000)))}, "ladder.rungs.1.width", "even"),
        ({"ladder": Ladder("hls", (TWO[0], Rung(640, 360, 5)))}, "ladder.rungs.1.bitrate", "out of range"),
        ({"ladder": Ladder("hls", TWO, 60.0)}, "ladder.segment_seconds", "1 to 12"),
        ({"ladder": Ladder("hls", TWO, 3.0)}, "ladder.segment_seconds", "no multiple of keyframe_seconds (2)"),
        ({"keyframe_seconds": 5.0}, "ladder.segment_seconds", "no multiple"),
        ({"width": 1280}, "width", "largest rung"),
        ({"container": "mkv"}, "container", "mp4"),
        ({"rate": RateControl("two-pass")}, "rate.mode", "capped-crf"),
        ({"rate": RateControl("crf", 23)}, "rate.mode", "capped-crf"),
        ({"audio": Sound("opus")}, "audio.codec", "aac"),
        ({"audio": Sound("copy")}, "audio.codec", "aac"),
        ({"subtitles": "keep"}, "subtitles", "not kept"),
        ({"bitrate_low": 1_000_000}, "bitrate_low", "all its rungs"),
    ],
)
def test_what_players_could_not_play_is_refused(fields: dict[str, Any], field: str, word: str) -> None:
    """P9: before any job asks for it."""
    with pytest.raises(InvalidField) as caught:
        check_scenario(changed(**fields))
    assert field == caught.value.field
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"codec": "h265", "preset": "fast"},
        {"codec": "av1", "preset": "10", "ladder": Ladder("dash", TWO, 6.0)},
        {"rate": RateControl("capped-crf", 23), "audio": Sound("none"), "picture": Picture(fit="pad")},
    ],
)
def test_what_they_play_is_accepted(fields: dict[str, Any]) -> None:
    """Three codecs, both kinds of playlists."""
    check_scenario(changed(**fields))


@pytest.mark.parametrize(
    ("parameters", "field", "word"),
    [
        ({"output": "films/a.mp4"}, "parameters.output", "makes a folder"),
        ({"output": "films/a.m3u8"}, "parameters.output", "makes a folder"),
        ({"overwrite": True, "output": "films/a"}, "parameters.overwrite", "cannot be replaced in one step"),
        ({"chunk": "60s", "input": "a.mp4"}, "parameters.chunk", "joined"),
        ({"quality": "vmaf"}, "parameters.quality", "single rendition"),
        ({"bitrate": "5M"}, "parameters.bitrate", "each of its rungs"),
    ],
)
def test_a_job_that_contradicts_its_ladder_is_refused(parameters: dict[str, Any], field: str, word: str) -> None:
    """Its output is a folder, which has no one bitrate and is never replaced."""
    with pytest.raises(InvalidField) as caught:
        accept(msgspec.convert({"scenario": "ladder-hls", "parameters": parameters}, JobRequest), "id")
    assert field == caught.value.field
    assert word in str(caught.value)


def test_a_ladder_is_made_where_it_can_be_made_only() -> None:
    """An engine without the feature never gets it; its output is a folder of its own."""
    job = accept(JobRequest("ladder-dash"), "id")
    assert ("h264+ladder", "outputs/id", BASE.bitrate_default) == (
        *(job.needs.codec, job.parameters.output, job.parameters.bitrate),
    )
    old = Capabilities(8, {"ffmpeg": ["h264"]}, features={"ffmpeg": ["options"]})
    new = msgspec.structs.replace(old, features={"ffmpeg": ["options", "ladder"]})
    assert [False, True] == [can_run(node, job.needs) for node in (old, new)]
    assert not can_run(new, Needs("auto", "vp9+ladder", 1))


def test_a_ladder_of_ones_own() -> None:
    """Its size and bitrates are those of its rungs, and so is its cost."""
    rungs = [{"width": 1280, "height": 720, "bitrate": "2M"}, {"width": 640, "height": 360, "bitrate": "500k"}]
    tables = {
        "mine": {"extends": "ladder-hls", "ladder": {"rungs": rungs}},
        "dash": {"extends": "mine", "ladder": {"format": "dash"}},
        "first": {"extends": "720p30-h264", "ladder": {"rungs": rungs}},
    }
    found = read_scenarios(tables)
    assert found == read_scenarios(tables)
    assert (Ladder("hls", TWO), 1280, 2_500_000, 3) == (
        *(found["mine"].ladder, found["mine"].width, found["mine"].bitrate_default, found["mine"].cost),
    )
    assert [Ladder("dash", TWO), Ladder("hls", TWO)] == [found[name].ladder for name in ("dash", "first")]


@pytest.mark.parametrize(
    ("ladder", "field"),
    [
        ({"rungs": [{"width": 1280, "height": 720, "bitrate": "fast"}]}, "rungs.0.bitrate"),
        ({"rungs": [{"width": 1280, "hight": 720, "bitrate": "2M"}]}, "rungs.0.hight"),
        ({"rungs": "1080p"}, "rungs"),
        ({"rungs": ["1080p"]}, "rungs.0"),
        ({"format": "smooth"}, "format"),
        ({"rungs": []}, "rungs"),
    ],
)
def test_a_ladder_that_makes_no_sense_names_its_place(ladder: dict[str, Any], field: str) -> None:
    """Down to the rung."""
    with pytest.raises(InvalidField) as caught:
        read_scenarios({"mine": {"extends": "ladder-hls", "ladder": ladder}})
    assert f"scenarios.mine.ladder.{field}" == caught.value.field.replace("[", ".").replace("]", "")
