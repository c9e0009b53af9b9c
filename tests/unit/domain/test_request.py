"""A request is accepted, or the field that is wrong is named (P9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.capability import Needs
from reelmill.domain.job import NewJob
from reelmill.domain.media_path import PRIVATE_FOLDER
from reelmill.domain.request import JobRequest, accept
from reelmill.errors import InvalidField

JOB_ID = "0190a000-0000-7000-8000-000000000001"
ROOT = Path("/media/films")


def take(parameters: Any = None, **fields: Any) -> NewJob:
    """What the domain makes of a body."""
    body: dict[str, Any] = {"scenario": "1080p30-h264", "parameters": parameters or {}, **fields}
    return accept(msgspec.convert(body, JobRequest), JOB_ID, ROOT)


def test_a_bare_request_gets_the_defaults_of_the_design() -> None:
    """Engine auto, queue default, priority medium, the scenario's bitrate, a synthetic input, an output of its own."""
    job = take()

    assert ("auto", "default", "medium") == (job.engine, job.queue, job.priority)
    assert (10.0, 7_000_000, None) == (job.parameters.duration, job.parameters.bitrate, job.parameters.input)
    assert f"outputs/{JOB_ID}.mp4" == job.parameters.output
    assert Needs("auto", "h264", 4) == job.needs
    assert job.fingerprint is None


def test_an_input_names_the_output_and_its_length_is_its_own() -> None:
    """With an input no duration is made up, and the output says where it came from."""
    job = take({"input": "raw/bunny.mov"})

    assert job.parameters.duration is None
    assert f"outputs/bunny-1080p30-h264-{JOB_ID}.mp4" == job.parameters.output


@pytest.mark.parametrize("stem", ["n" * 251, "🎬" * 62, "é" * 120])
def test_the_longest_name_of_an_input_still_names_its_output(stem: str) -> None:
    """Names are limited in bytes: what is kept of the input's is whole letters, and leaves room for the rest."""
    output = take({"input": f"{stem}.mp4"}).parameters.output

    assert output is not None
    kept = output.removeprefix("outputs/").removesuffix(f"-1080p30-h264-{JOB_ID}.mp4")
    assert (True, True) == (stem.startswith(kept), len(output.encode()) <= 255)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("engine", "handbrake"),
        ("queue", "express"),
        ("priority", "urgent"),
        ("scenario", 7),
        ("scenario", None),
        ("surprise", 1),
        ("labels", {"a": 1}),
        ("confidence", {}),
        ("parameters", {"codec": "h264"}),
        ("parameters", {"duration": "long"}),
        ("parameters", {"quality": "psnr"}),
        ("parameters", {"overwrite": "yes"}),
        ("parameters", [1]),
    ],
)
def test_a_word_or_type_that_is_not_known_is_refused(field: str, value: object) -> None:
    """Closed lists and types are judged while the body is read, before anything is stored."""
    with pytest.raises(msgspec.ValidationError):
        take(**{field: value})


@pytest.mark.parametrize("name", ["", "8K60-h264", "random", "x" * 1_000_000, "1080p30-h264 "])
def test_an_unknown_scenario_is_named(name: str) -> None:
    """The field is named and the message stays short whatever was sent."""
    with pytest.raises(InvalidField, match="unknown scenario") as caught:
        take(scenario=name)

    assert "scenario" == caught.value.field
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", ["duration", "timeout"])
@pytest.mark.parametrize("seconds", [-5, 0, 0.05, 86_401, 1e300, float("inf"), float("-inf"), float("nan")])
def test_seconds_that_make_no_sense_are_refused(field: str, seconds: float) -> None:
    """Negative, zero, absurd, infinite and undefined lengths are named."""
    with pytest.raises(InvalidField) as caught:
        take({field: seconds})

    assert f"parameters.{field}" == caught.value.field


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("quality_sample", {"quality_sample": 5}),
        ("quality_min", {"quality_min": 90}),
        ("quality_sample", {"quality": "vmaf", "quality_sample": 0}),
        ("quality_sample", {"quality": "ssim", "quality_sample": 1001}),
        ("quality_sample", {"quality": "xpsnr", "quality_sample": 2}),
        ("quality_min", {"quality": "vmaf", "quality_min": 100.5}),
        ("quality_min", {"quality": "ssim", "quality_min": 90}),
        ("quality_min", {"quality": "vmaf", "quality_min": float("nan")}),
        ("quality_min", {"quality": "vmaf", "quality_min": -1}),
    ],
)
def test_quality_that_makes_no_sense_is_refused(field: str, asked: dict[str, Any]) -> None:
    """What belongs to no metric, and what the metric does not have."""
    with pytest.raises(InvalidField) as caught:
        take(asked)

    assert f"parameters.{field}" == caught.value.field


def test_quality_that_is_asked_for_is_kept() -> None:
    """With its sample and its least mean."""
    kept = take({"quality": "vmaf", "quality_sample": 5, "quality_min": 93}).parameters

    assert ("vmaf", 5, 93.0) == (kept.quality, kept.quality_sample, kept.quality_min)


@pytest.mark.parametrize("seconds", [0.1, 86_400])
def test_the_ends_of_the_range_are_inside_it(seconds: float) -> None:
    """0.1 s and a day are allowed."""
    assert seconds == take({"duration": seconds}).parameters.duration


@pytest.mark.parametrize(
    "bitrate",
    ["5 potatoes", "", "-5M", "M", "5MM", "1e6", "0x10", "nan", 0, -1, 1, 399_999, 40_000_001, 10**18, 10**30, "1M5"],
)
def test_a_bitrate_that_makes_no_sense_is_refused(bitrate: str | int) -> None:
    """Words that are no number, and numbers far outside the scenario's range, are named."""
    with pytest.raises(InvalidField) as caught:
        take({"bitrate": bitrate})

    assert "parameters.bitrate" == caught.value.field


@pytest.mark.parametrize("digits", [310, 5000])
def test_a_bitrate_with_hundreds_of_digits_is_refused_like_any_other(digits: int) -> None:
    """A number too large for a float is a bad bitrate, not a fault of ours."""
    with pytest.raises(InvalidField) as caught:
        take({"bitrate": "9" * digits})

    assert "parameters.bitrate" == caught.value.field
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("given", "expected"), [("5M", 5_000_000), ("2500k", 2_500_000), (400_000, 400_000)])
def test_a_bitrate_with_a_unit_is_bits_per_second(given: str | int, expected: int) -> None:
    """Text with a unit and plain numbers mean the same thing."""
    assert expected == take({"bitrate": given}).parameters.bitrate


BAD_PATHS = [
    "",
    "a\0b.mp4",
    "..",
    "../x.mp4",
    "a/../../x.mp4",
    "a/..",
    "/etc/passwd.mp4",
    "//etc/passwd.mp4",
    "/media/filmsx/a.mp4",
    "/media/films/../secret.mp4",
    "/media/films",
    ".",
    "./",
    f"{PRIVATE_FOLDER}/attempts/a.mp4",
    f"./{PRIVATE_FOLDER}/a.mp4",
    f"/media/films/{PRIVATE_FOLDER}/a.mp4",
    PRIVATE_FOLDER,
    "a" * 252 + ".mp4",
    "ä" * 126 + ".mp4",
    "/".join(["abcdefgh"] * 120) + ".mp4",
]


@pytest.mark.parametrize("field", ["input", "output"])
@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_could_leave_the_media_root_is_refused(field: str, path: str) -> None:
    """Climbing, absolute paths elsewhere, NUL, over-long names and our own folder are named, whatever the field."""
    with pytest.raises(InvalidField) as caught:
        take({field: path})

    assert f"parameters.{field}" == caught.value.field


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/media/films/a.mp4", "a.mp4"),
        ("a//b/./c.mp4", "a/b/c.mp4"),
        ("a" * 251 + ".mp4", "a" * 251 + ".mp4"),
        ("-out.mp4", "-out.mp4"),
        ("a:b.mkv", "a:b.mkv"),
        ("..a/b...mp4", "..a/b...mp4"),
        (f"sub/{PRIVATE_FOLDER}/a.mp4", f"sub/{PRIVATE_FOLDER}/a.mp4"),
    ],
)
def test_an_odd_but_harmless_path_is_taken_as_it_is(given: str, expected: str) -> None:
    """Absolute paths below the root become relative to it; odd names are only names."""
    assert expected == take({"output": given}).parameters.output


@pytest.mark.parametrize("output", ["a.avi", "a", "a.mp4.exe", ".mp4"])
def test_an_output_must_be_a_container_that_we_write(output: str) -> None:
    """Only these four are written."""
    with pytest.raises(InvalidField, match=r"must end in \.mp4, \.mkv, \.webm or \.ts"):
        take({"output": output})


def test_an_output_must_not_be_the_input() -> None:
    """However it is spelled, a job never overwrites what it reads."""
    with pytest.raises(InvalidField, match="is the input itself"):
        take({"input": "a/b.mp4", "output": "/media/films/a//b.mp4", "overwrite": True})


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({f"k{n}": "v" for n in range(33)}, "labels"),
        ({"": "v"}, "labels"),
        ({'a"b': "v"}, "labels"),
        ({"k" * 129: "v"}, "labels"),
        ({"k\n": "v"}, "labels"),
        ({"k": "v" * 129}, "labels.k"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "node_"])
def test_labels_have_limits(labels: dict[str, str], field: str, prefix: str) -> None:
    """Too many, too long, or names that could not be asked for are named; also for the labels a node must carry."""
    with pytest.raises(InvalidField) as caught:
        take(**{f"{prefix}labels": labels})

    assert prefix + field == caught.value.field


@pytest.mark.parametrize("name", ["", "a b", "-a", "..", "ä", "a/b", "a\n", "x" * 65])
def test_a_tenant_has_a_plain_name(name: str) -> None:
    """A name that could not stand in a path or on a command line is refused."""
    with pytest.raises(InvalidField) as caught:
        take(tenant=name)

    assert "tenant" == caught.value.field
    assert len(str(caught.value)) < 200


def test_tenant_and_node_labels_are_needs_whatever_their_order() -> None:
    """Jobs that ask for the same labels of a node wait in the same lane."""
    one = take(tenant="studio-7", node_labels={"site": "ber", "gpu": "yes"})
    other = take(tenant="studio-7", node_labels={"gpu": "yes", "site": "ber"})

    assert Needs("auto", "h264", 4, "studio-7", (("gpu", "yes"), ("site", "ber"))) == one.needs == other.needs
    assert ("studio-7", ["gpu", "site"]) == (one.tenant, list(one.node_labels))


@pytest.mark.parametrize(
    ("field", "value"), [("confidence", "x" * 129), ("idempotency_key", ""), ("idempotency_key", "k" * 201)]
)
def test_texts_have_limits(field: str, value: str) -> None:
    """What is stored with a job has a length that somebody thought of."""
    with pytest.raises(InvalidField) as caught:
        take(**{field: value})

    assert field == caught.value.field


def test_equal_bodies_have_equal_fingerprints_whatever_their_order() -> None:
    """The order of members and of labels, and defaults that are written out, do not make another job."""
    one = take({"duration": 5, "bitrate": "5M"}, labels={"a": "1", "b": "2"}, idempotency_key="k")
    other = take({"bitrate": "5M", "duration": 5.0}, idempotency_key="k", labels={"b": "2", "a": "1"}, queue="default")

    assert one.fingerprint is not None
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"queue": "live"},
        {"labels": {"a": "2"}},
        {"parameters": {"duration": 6}},
        {"scenario": "720p30-h264"},
        {"engine": "ffmpeg"},
        {"tenant": "studio-7"},
        {"node_labels": {"gpu": "yes"}},
    ],
)
def test_another_body_has_another_fingerprint(change: dict[str, Any]) -> None:
    """Everything that is asked for counts."""
    base: dict[str, Any] = {"parameters": {"duration": 5}, "labels": {"a": "1"}, "idempotency_key": "k"}

    assert take(**base).fingerprint != take(**(base | change)).fingerprint


@given(st.text(max_size=300))
def test_no_bitrate_text_makes_the_check_itself_fail(text: str) -> None:
    """Whatever is written: a bitrate within the scenario's limits, or InvalidField."""
    try:
        bitrate = take({"bitrate": text}).parameters.bitrate
    except InvalidField:
        return
    assert 400_000 <= bitrate <= 40_000_000
