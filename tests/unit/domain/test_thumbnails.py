"""Which pictures a job may ask for, and when they are seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelmill.domain.capability import Capabilities, can_run
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.thumbnails import MOST_TILES, Thumbnails, Timeline, timeline
from reelmill.errors import InvalidField


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.1, (1, 10)), (10, (1, 10)), (10.01, (2, 10)), (95, (10, 10)), (7200, (720, 10)), (36_000, (MOST_TILES, 18))],
)
def test_a_film_has_a_picture_for_each_interval_and_a_long_one_no_more_than_2000(
    seconds: float, expected: tuple[int, float]
) -> None:
    assert Timeline(*expected) == timeline(Thumbnails(), seconds)


def test_they_are_made_where_they_can_be_made_only() -> None:
    """An engine without the feature never gets them; the output is a folder of its own."""
    job = accept(JobRequest("Thumbnails"), "id")
    assert ("thumbnails", "mjpeg+thumbnails", "outputs/id") == (job.scenario, job.needs.codec, job.parameters.output)
    old = Capabilities(8, {"ffmpeg": ["h264"]}, features={"ffmpeg": ["options", "ladder"]})
    new = Capabilities(8, {"ffmpeg": ["h264", "mjpeg"]}, features={"ffmpeg": ["options", "ladder", "thumbnails"]})
    assert [False, True] == [can_run(node, job.needs) for node in (old, new)]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"bitrate": "1M"}, "bitrate"),
        ({"overwrite": True}, "overwrite"),
        ({"verify": "full"}, "verify"),
        ({"quality": "vmaf", "input": "a.mp4"}, "quality"),
        ({"chunk": "60s", "input": "a.mp4"}, "chunk"),
        ({"output": "a.jpg"}, "output"),
        ({"output": "a.mp4"}, "output"),
        ({"output_mode": "rtmp", "rtmp_url": "rtmp://h/a/k"}, "output_mode"),
        ({"encoder": "libx264"}, "encoder"),
    ],
)
def test_what_makes_no_sense_is_named(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        accept(msgspec.convert({"scenario": "thumbnails", "parameters": parameters}, JobRequest), "id")
    assert f"parameters.{field}" == caught.value.field


def test_a_stream_has_none() -> None:
    """Its length is not known, and it comes once."""
    body = {"scenario": "thumbnails", "parameters": {"input": "rtmp://h/a/k"}}
    with pytest.raises(InvalidField, match="record the stream first"):
        accept(msgspec.convert(body, JobRequest), "id")


def test_a_scenario_of_ones_own_changes_the_sheets_and_the_poster() -> None:
    found = read_scenarios({"mine": {"extends": "thumbnails", "width": 640, "thumbnails": {"interval": 2, "rows": 5}}})
    assert (640, Thumbnails(2, rows=5), 2) == (found["mine"].width, found["mine"].thumbnails, found["mine"].cost)
    assert "mjpeg+thumbnails" == found["mine"].encoder_needed(found["mine"].usual_container)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("thumbnails.interval", {"thumbnails": {"interval": 0.1}}),
        ("thumbnails.tile_width", {"thumbnails": {"tile_width": 161}}),
        ("thumbnails.tile_width", {"thumbnails": {"tile_width": 1000}}),
        ("thumbnails.rows", {"thumbnails": {"rows": 1, "columns": 3}}),
        ("thumbnails.columns", {"thumbnails": {"columns": 0}}),
        ("thumbnails.size", {"thumbnails": {"size": 3}}),
        ("rate", {"rate": {"mode": "crf", "crf": 20}}),
        ("codec", {"codec": "h264"}),
        ("width", {"width": 7}),
        ("cost", {"cost": 0}),
    ],
)
def test_nonsense_is_refused_by_its_field(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as caught:
        read_scenarios({"mine": {"extends": "thumbnails", **change}})
    assert f"scenarios.mine.{field}" == caught.value.field
