"""An encoder that is asked for by name: what may be asked, and that no other is ever taken for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from reelmill.domain.capability import Capabilities, can_run, choose_engine
from reelmill.domain.explanation import find_block
from reelmill.domain.job import NewJob
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.scenario import use_scenarios
from reelmill.errors import InvalidField

BEFORE = Capabilities(8, {"ffmpeg": ["h264"], "gstreamer": ["h264"]}, features={"ffmpeg": ["options", "h264_nvenc"]})
"""A worker of the version before: it offers its device, and takes software when that fails."""

NOW = msgspec.structs.replace(
    BEFORE, features={"ffmpeg": ["options", "ladder", "encoder-by-name", "h264_nvenc", "libx264"]}
)
SOFTWARE_ONLY = msgspec.structs.replace(
    BEFORE, features={"ffmpeg": ["options", "ladder", "encoder-by-name", "libx264"]}
)


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


def take(parameters: dict[str, Any], **fields: Any) -> NewJob:
    """What the domain makes of a body."""
    body: dict[str, Any] = {"scenario": "480p30-h264", "parameters": parameters, **fields}
    return accept(msgspec.convert(body, JobRequest), "job")


def test_a_job_names_its_encoder() -> None:
    """It runs on nodes that have it and know that it is to be no other, and carries it in its scenario."""
    job = take({"encoder": "h264_nvenc"})
    assert ("ffmpeg", "h264_nvenc") == (job.engine, job.parameters.encoder)
    assert job.definition is not None
    assert ("480p30-h264", "h264_nvenc") == (job.definition.name, job.definition.encoder)
    assert [False, True, False] == [can_run(node, job.needs) for node in (BEFORE, NOW, SOFTWARE_ONLY)]
    assert ("ffmpeg", ()) == (choose_engine(NOW, job.needs, live=True).engine, choose_engine(NOW, job.needs).others)


def test_software_has_a_name_too() -> None:
    """Whoever names libx264 gets it on a node that would use its device."""
    job = take({"encoder": "libx264"})
    assert [False, True, True] == [can_run(node, job.needs) for node in (BEFORE, NOW, SOFTWARE_ONLY)]


def test_why_a_named_encoder_is_waited_for_is_said() -> None:
    """With its name."""
    job = take({"encoder": "h264_nvenc"})
    assert find_block([BEFORE, SOFTWARE_ONLY], job.needs) == (
        "no node of this farm can run it: it needs ffmpeg with the encoder h264_nvenc"
    )


def test_a_scenario_names_its_encoder_and_the_codec_follows() -> None:
    """An encoder that was inherited is the node's choice again when the codec changes."""
    found = read_scenarios(
        {
            "fast": {"extends": "1080p30-h264", "encoder": "hevc_nvenc"},
            "smaller": {"extends": "fast", "width": 1280, "height": 720},
            "other": {"extends": "fast", "codec": "vp9"},
        }
    )
    use_scenarios(found)
    assert [("h265", "hevc_nvenc")] * 2 == [(found[name].codec, found[name].encoder) for name in ("fast", "smaller")]
    assert ("fast", 3) == (found["fast"].preset, found["smaller"].cost)
    assert ("vp9", None) == (found["other"].codec, found["other"].encoder)
    assert "h265+encoder-by-name+hevc_nvenc" == accept(JobRequest("smaller"), "job").needs.codec


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"encoder": "h264_nvnec"}, "unknown encoder 'h264_nvnec'; did you mean 'h264_nvenc'?; known are libx264,"),
        ({"encoder": "h264_nvenc", "codec": "h265"}, "'h264_nvenc' makes h264, and a is h265"),
        ({"encoder": "h264_qsv", "rate": {"mode": "crf", "crf": 20}}, "hardware, which does a bitrate"),
        ({"encoder": "hevc_nvenc", "pixel_format": "yuv420p10le"}, "hardware, which does a bitrate"),
        ({"encoder": 5}, "must be text"),
    ],
)
def test_a_wrong_encoder_is_refused_by_its_field(table: dict[str, Any], word: str) -> None:
    """In a table of the settings."""
    with pytest.raises(InvalidField, match=r"^scenarios\.a\.encoder") as caught:
        read_scenarios({"a": {"extends": "720p30-h264", **table}})
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("field", "word", "body"),
    [
        ("parameters.encoder", "known are libx264, libx265", {"parameters": {"encoder": "magic"}}),
        (
            "parameters.encoder",
            "'hevc_qsv' makes h265, and 480p30-h264 is h264",
            {"parameters": {"encoder": "hevc_qsv"}},
        ),
        ("parameters.encoder", "one rendition", {"parameters": {"encoder": "h264_nvenc"}, "scenario": "ladder-hls"}),
        ("engine", "has no libx264", {"parameters": {"encoder": "libx264"}, "engine": "gstreamer"}),
        ("parameters.chunk", "h264_nvenc", {"parameters": {"encoder": "h264_nvenc", "input": "a.mp4", "chunk": 5}}),
        (
            "scenario",
            "streams are encoded in software",
            {"parameters": {"encoder": "h264_nvenc", "output_mode": "rtmp", "rtmp_url": "rtmp://h/a/k"}},
        ),
    ],
)
def test_a_job_that_names_what_cannot_be_is_refused(field: str, word: str, body: dict[str, Any]) -> None:
    """Before it is accepted."""
    with pytest.raises(InvalidField) as caught:
        take(**body)
    assert (field, True) == (caught.value.field, word in str(caught.value)), caught.value


def test_pieces_are_encoded_by_the_encoder_that_was_named() -> None:
    """In software, which is the same everywhere."""
    job = take({"encoder": "libx264", "input": "a.mp4", "chunk": 5})
    assert "h264+encoder-by-name+libx264" == job.needs.codec
