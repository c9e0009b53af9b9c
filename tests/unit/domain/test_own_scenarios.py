"""Scenarios of a farm's own settings: inheritance, shorthands, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.rate_control import RateControl
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.scenario import CATALOGUE, LADDERS, find_scenario, known_scenarios, source_of, use_scenarios
from reelmill.errors import InvalidField, NotFound

ARCHIVE: dict[str, Any] = {
    "extends": "1080p60-h264",
    "codec": "h265",
    "container": "mkv",
    "rate": {"mode": "crf", "crf": 20},
    "audio": {"codec": "opus", "bitrate": "96k"},
}


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


def test_a_scenario_is_an_older_one_with_changes() -> None:
    """What is not said is inherited; a preset and a cost that do not fit any more are chosen as usual."""
    found = read_scenarios({"archive": ARCHIVE, "small": {"extends": "archive", "width": 640, "height": 360}})
    archive, small = found["archive"], found["small"]
    assert (1920, 1080, 60, "h265", "fast", 6, "mkv") == (
        *(archive.width, archive.height, archive.fps, archive.codec, archive.preset, archive.cost, archive.container),
    )
    assert (RateControl("crf", 20), 96_000) == (small.rate, small.audio.bitrate)
    assert 2 == small.cost
    assert CATALOGUE["1080p60-h264"].bitrate_low == archive.bitrate_low


def test_the_order_of_the_tables_does_not_matter() -> None:
    """One may extend another that comes behind it."""
    found = read_scenarios({"a": {"extends": "b", "preset": "slow"}, "b": {"extends": "720p30-h264", "fps": 25}})
    assert (25, "slow") == (found["a"].fps, found["a"].preset)


def test_shorthands_and_people_s_numbers() -> None:
    """``bitrate`` is both ends of the range, dashes are underscores, and what a mode does not need is dropped."""
    found = read_scenarios(
        {
            "crf": {"extends": "720p30-h264", "rate": {"mode": "crf", "crf": 30}},
            "back": {"extends": "crf", "bitrate": "800k", "keyframe-seconds": 1, "rate": {"mode": "two-pass"}},
        }
    )
    back = found["back"]
    assert (800_000, 800_000, 1.0, RateControl("two-pass")) == (
        *(back.bitrate_low, back.bitrate_high, back.keyframe_seconds, back.rate),
    )


def test_one_may_be_made_of_nothing() -> None:
    """With all that is needed, and the usual preset and cost."""
    whole = {"width": 1280, "height": 720, "fps": 29.97, "codec": "vp9", "bitrate": "2M"}
    found = read_scenarios({"whole": whole})["whole"]
    assert ("5", 3, 29.97) == (found.preset, found.cost, found.fps)


@pytest.mark.parametrize(
    ("tables", "field", "word"),
    [
        ({"a": {"extends": "a"}}, "scenarios.a.extends", "circle: a -> a"),
        ({"a": {"extends": "b"}, "b": {"extends": "c"}, "c": {"extends": "a"}}, "scenarios.a.extends", "b -> c -> a"),
        ({"a": {"extends": "1080p60h264"}}, "scenarios.a.extends", "did you mean '1080p60-h264'"),
        ({"a": {"extends": 5}}, "scenarios.a.extends", "text"),
        ({"a": "1080p60-h264"}, "scenarios.a", "table"),
        ({"a": {"extends": "720p30-h264", "prest": "slow"}}, "scenarios.a.prest", "did you mean 'preset'"),
        ({"a": {"extends": "720p30-h264", "rate": {"cfr": 1}}}, "scenarios.a.rate.cfr", "did you mean 'crf'"),
        ({"a": {"extends": "720p30-h264", "rate": "crf"}}, "scenarios.a.rate", "table"),
        ({"a": {"extends": "720p30-h264", "name": "b"}}, "scenarios.a.name", "unknown setting"),
        ({"a": {"extends": "720p30-h264", "width": "wide"}}, "scenarios.a.width", "whole number"),
        ({"a": {"extends": "720p30-h264", "container": "avi"}}, "scenarios.a.container", "avi"),
        ({"a": {"extends": "720p30-h264", "container": "webm"}}, "scenarios.a.container", "does not go into webm"),
        ({"a": {"extends": "720p30-h264", "bitrate": "fast"}}, "scenarios.a.bitrate", "not a bitrate"),
        ({"a": {"extends": "720p30-h264", "rate": {"mode": "crf"}}}, "scenarios.a.rate.crf", "needed"),
        ({"a": {"extends": "720p30-h264", "width": 1281}}, "scenarios.a.width", "odd"),
        ({"a": {"extends": "720p30-h264", "codec": "mpeg2"}}, "scenarios.a.codec", "none of"),
        ({"a": {"width": 1280}}, "scenarios.a", "extends"),
        ({"720P30-H264": {"extends": "480p30-h264"}}, "scenarios.720P30-H264", "built-in"),
        ({"random": {"extends": "480p30-h264"}}, "scenarios.random", "built-in"),
        ({"a b": {"extends": "480p30-h264"}}, "scenarios.a b", "no name"),
        ({"a": {"extends": "480p30-h264"}, "A": {"extends": "480p30-h264"}}, "scenarios.A", "capital"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_its_place(tables: dict[str, Any], field: str, word: str) -> None:
    """P9: with the table and the field, and what was probably meant."""
    with pytest.raises(InvalidField) as caught:
        read_scenarios(tables)
    assert field == caught.value.field
    assert word in str(caught.value)


def test_a_known_one_is_found_accepted_and_kept_with_the_job() -> None:
    """In any case of its letters; the job carries what it is, which a built-in one needs not."""
    use_scenarios(read_scenarios({"archive": ARCHIVE}))
    assert "settings" == source_of(find_scenario("ARCHIVE"))
    job = accept(JobRequest("archive"), "id")
    assert (find_scenario("archive"), "h265+options") == (job.definition, job.needs.codec)
    assert "outputs/id.mkv" == job.parameters.output
    assert accept(JobRequest("720p30-h264"), "id").definition is None
    assert [*CATALOGUE, *LADDERS, "thumbnails", "archive"] == list(known_scenarios())
    use_scenarios({})
    with pytest.raises(NotFound):
        find_scenario("archive")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [({"bitrate": "5M"}, "parameters.bitrate"), ({"output": "a.mp4"}, "parameters.output")],
)
def test_a_job_of_it_may_not_contradict_it(parameters: dict[str, Any], field: str) -> None:
    """Constant quality has no bitrate, and what makes .mkv makes no .mp4."""
    use_scenarios(read_scenarios({"archive": ARCHIVE}))
    request = msgspec.convert({"scenario": "archive", "parameters": parameters}, JobRequest)
    with pytest.raises(InvalidField) as caught:
        accept(request, "id")
    assert field == caught.value.field
