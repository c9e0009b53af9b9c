"""Mistakes in the options are found here, named by the option, before anything is sent."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from reelmill.domain.job import QUEUES
from reelmill.errors import InvalidField
from reelmill.launcher.client import check_url
from reelmill.launcher.distribution import Span
from reelmill.launcher.kind import DEFAULT_DURATION
from reelmill.launcher.options import read_count, read_name, read_plan
from reelmill.launcher.plan import JobKind, plan_jobs
from reelmill.launcher.plan_words import describe_plan


def only_kind(**options: Any) -> JobKind:
    """The one kind of jobs that plain options make."""
    [kind] = read_plan(**options).kinds.choices
    return kind


@pytest.mark.parametrize(
    ("options", "option", "part"),
    [
        ({"count": "0"}, "--count", "the least is 1"),
        ({"count": "-1"}, "--count", "the least is 1"),
        ({"count": "abc"}, "--count", "such as 1000 or 10k"),
        ({"count": "1.5"}, "--count", "whole number"),
        ({"count": "100000001"}, "--count", "100000001 is too large; the most is 100000000"),
        ({"count": "1000m"}, "--count", "1000m is too large; the most is 100000000"),
        ({"scenario": "1080p60-h246"}, "--scenario", "did you mean"),
        ({"queue": "lvie"}, "--queue", "did you mean 'live'"),
        ({"priority": "urgent"}, "--priority", "mixed"),
        ({"engine": "ffmpg"}, "--engine", "did you mean 'ffmpeg'"),
        ({"bitrate": "5 potatoes"}, "--bitrate", "not a bitrate"),
        ({"bitrate": "800k"}, "--bitrate", "out of range for 4K60-h264"),
        ({"bitrate": "4M-900M"}, "--bitrate", "out of range"),
        ({"duration": "-3"}, "--duration", "must not be negative"),
        ({"bitrate": "-5M"}, "--bitrate", "must not be negative"),
        ({"source": "films/a.mp4"}, "--scenario", "is needed with --input"),
        ({"duration": "0"}, "--duration", "out of range"),
        ({"duration": "300-30"}, "--duration", "begins above its end"),
        ({"duration": "1-"}, "--duration", "has no end; write one value, or a range LOW-HIGH such as 1-300"),
        ({"bitrate": "5"}, "--bitrate", "means 5 bit/s, which is too little; did you mean 5M?"),
        ({"bitrate": "4-10"}, "--bitrate", "did you mean 4M-10M?"),
        ({"source": "https://x/a.mp4", "scenario": "720p30-h264"}, "--input", "is a path in the media folder"),
        ({"source": "rtmp://h/app", "scenario": "720p30-h264"}, "--input", "names no stream"),
        ({"source": "rtmp://h/app/key", "scenario": "ladder-hls"}, "--scenario", "of a stream one is made"),
        ({"source": "rtmp://h/app/key", "scenario": "720p30-h264", "engine": "gstreamer"}, "--engine", "no streams"),
        ({"source": "a.mp4", "scenario": "ladder-hls", "chunk": "60s"}, "--chunk", "could not be joined"),
        ({"source": "a.mp4", "scenario": "720p30-h264", "chunk": "60s", "engine": "gstreamer"}, "--chunk", "ffmpeg"),
        (
            {"source": "*.no-such", "scenario": "random"},
            "--input",
            "makes a list of jobs, which is kept",
        ),
        ({"encoder": "h264_nvnc", "scenario": "720p30-h264"}, "--encoder", "did you mean 'h264_nvenc'"),
        ({"encoder": "h264_nvenc", "scenario": "720p30-h265"}, "--encoder", "makes h264, and 720p30-h265 is h265"),
        ({"encoder": "libx264", "scenario": "720p30-h264", "engine": "gstreamer"}, "--engine", "which is ffmpeg's"),
        ({"tenant": "a b"}, "--tenant", "is not a tenant's name"),
        ({"checks": {"verify": "ful"}}, "--verify", "did you mean 'full'"),
        ({"checks": {"quality": "vmfa"}}, "--quality", "did you mean 'vmaf'"),
        ({"checks": {"quality": "vmaf", "quality_sample": "1.5"}}, "--quality-sample", "not a whole number"),
        ({"checks": {"quality": "vmaf", "quality_sample": "0"}}, "--quality-sample", "out of range"),
        ({"checks": {"quality": "xpsnr", "quality_sample": "2"}}, "--quality-sample", "weighs each frame"),
        ({"checks": {"quality_min": "90"}}, "--quality-min", "says nothing without a quality"),
        ({"checks": {"quality": "ssim", "quality_min": "nan"}}, "--quality-min", "is not a number"),
        ({"checks": {"quality": "ssim", "quality_min": "90"}}, "--quality-min", "out of range for ssim"),
        ({"duration": "30-100h"}, "--duration", "out of range"),
        ({"source": "../x.mp4"}, "--input", "under the media root"),
        ({"source": os.sep}, "--input", "is a folder"),
        ({"seed": "abc"}, "--seed", "whole number"),
        ({"node_labels": ["gpu="]}, "--node-label", "'gpu=' has no value; write NAME=VALUE"),
        ({"node_labels": ["gpu= "]}, "--node-label", "has no value"),
        ({"node_labels": ["gpu=a", "gpu=b"]}, "--node-label", "'gpu' is given twice, as 'a' and 'b'"),
    ],
)
def test_a_mistake_names_its_option(options: dict[str, Any], option: str, part: str) -> None:
    """Each mistake gives one line: the option, what is wrong, and what would be right."""
    with pytest.raises(InvalidField) as caught:
        read_plan(**options)
    assert caught.value.field == option
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2", Span(2, 2)),
        ("1.5s", Span(1.5, 1.5)),
        ("2m", Span(120, 120)),
        ("30-300", Span(30, 300)),
        ("1s-1m", Span(1, 60)),
    ],
)
def test_durations_are_values_or_ranges(text: str, span: Span) -> None:
    assert span == only_kind(duration=text).duration


def test_bitrates_are_values_or_ranges() -> None:
    assert Span(5_000_000, 5_000_000) == only_kind(bitrate="5M").bitrate
    assert Span(4_000_000, 10_000_000) == only_kind(bitrate="4M-10M").bitrate


def test_counts_have_units_and_bounds() -> None:
    assert read_plan(count="10k").count == 10_000
    assert read_plan().count == 1000
    with pytest.raises(InvalidField, match="the most is 10000"):
        read_count("--batch-size", "10001", 1, 10_000)


def test_an_input_is_one_job_as_long_as_the_input(tmp_path: Path) -> None:
    """With a file, one ordinary job of the file's own length and the scenario's own bitrate, unless it is said."""
    plan = read_plan(source="films/a.mp4", scenario="720p30-h264")
    [kind] = plan.kinds.choices
    assert (plan.count, kind.duration, kind.bitrate, kind.input) == (1, None, None, "films/a.mp4")
    assert (kind.queues.choices, kind.priorities.choices) == (("default",), ("medium",))
    assert only_kind().duration == DEFAULT_DURATION
    more = read_plan(source="films/a.mp4", scenario="720p30-h264", count="20", queue="mixed", priority="high")
    [kind] = more.kinds.choices
    assert (more.count, kind.queues.choices, kind.priorities.choices) == (20, QUEUES, ("high",))


def test_an_input_that_exists_here_is_sent_as_an_absolute_path(tmp_path: Path) -> None:
    """The shell's folder and the farm's media root may differ."""
    (tmp_path / "a.mp4").touch()
    with contextlib.chdir(tmp_path):
        assert str(tmp_path / "a.mp4") == only_kind(source="a.mp4", scenario="random").input
        assert str(tmp_path / "a.mp4") == only_kind(source="./a.mp4", scenario="random").input


def test_a_label_that_is_given_twice_alike_is_one() -> None:
    """Only a contradiction is a mistake."""
    assert {"gpu": "a", "site": "b=c"} == only_kind(node_labels=["gpu=a", "site=b=c", "gpu=a"]).node_labels


def test_only_an_input_is_cut_into_chunks() -> None:
    """A length with a unit, as everywhere; a test source is refused before anything is sent."""
    assert 60.0 == only_kind(source="a.mp4", scenario="720p30-h264", chunk="1m").chunk
    with pytest.raises(InvalidField, match="--chunk: needs an input"):
        read_plan(chunk="60s")
    with pytest.raises(InvalidField, match="--chunk"):
        read_plan(chunk="0.2s", source="a.mp4", scenario="720p30-h264")


def test_a_long_name_is_refused() -> None:
    with pytest.raises(InvalidField, match="--name"):
        read_name("x" * 201)


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://x", "", "http://", "http://x:99999", "http://a b", "http://[::1"]
)
def test_what_is_not_a_url_is_refused(url: str) -> None:
    """A wrong `--master` is found before anything is sent, and the line shows a right one."""
    with pytest.raises(InvalidField, match="--master"):
        check_url(url)


def test_a_url_may_end_in_a_slash() -> None:
    assert check_url("https://farm.example:8080/mill/") == "https://farm.example:8080/mill"


def test_a_stream_is_an_input_whose_key_is_not_shown() -> None:
    """The master hears the whole URL; people see where it leads."""
    plan = read_plan(source="rtmp://host/app/key-4711", scenario="720p30-h264", count="2")
    assert ["rtmp://host/app/key-4711"] * 2 == [job.parameters.input for job in plan_jobs(plan)]
    shown = " ".join(map(str, describe_plan(plan)))
    assert "rtmp://host/app/*** (a stream)" in shown
    assert "4711" not in shown


def test_an_encoder_is_asked_of_each_job() -> None:
    plan = read_plan(encoder="libx264", scenario="720p30-h264", count="2")
    assert ["libx264"] * 2 == [job.parameters.encoder for job in plan_jobs(plan)]
    assert ("encoder", "libx264") in describe_plan(plan)
