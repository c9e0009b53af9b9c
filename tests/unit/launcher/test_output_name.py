"""What the outputs of many inputs are called."""

from __future__ import annotations

import pytest

from reelmill.domain.request import RequestedParameters
from reelmill.launcher.output_name import DEFAULT_TEMPLATE, OutputName
from reelmill.launcher.payload import JobPayload


def named(template: str, source: str, scenario: str = "720p30-h264") -> str:
    job = JobPayload(scenario, "auto", "default", "medium", RequestedParameters(input=source))
    return OutputName(template).fill(job, "films", 7)


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        ("720p30-h264", "outputs/films/bunny-720p30-h264.mp4"),
        ("ladder-hls", "outputs/films/bunny-ladder-hls"),
        ("thumbnails", "outputs/films/bunny-thumbnails"),
    ],
)
def test_a_folder_has_the_name_of_a_folder(scenario: str, name: str) -> None:
    assert name == named(DEFAULT_TEMPLATE, "films/bunny.mov", scenario)


def test_a_streams_output_is_not_called_after_its_key() -> None:
    assert "tv/stream-7.mkv" == named("tv/{stem}-{n}.mkv", "rtmp://host/app/key-4711")
