"""Inputs that are streams: which are taken, and what cannot be asked of one (P9)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelmill.domain.capability import Capabilities, choose_engine, encodes
from reelmill.domain.explanation import find_block
from reelmill.domain.job import NewJob
from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.scenario import OPTIONS, use_scenarios
from reelmill.domain.stream_url import ANY_HOST, StreamHosts
from reelmill.errors import InvalidField

URL = "rtmp://live.example.org/app/key"
OUT = {"output_mode": "rtmp", "rtmp_url": "rtmp://b.example.org/app/other"}


def take(hosts: StreamHosts = ANY_HOST, /, scenario: str = "720p30-h264", engine: str = "auto", **own: Any) -> NewJob:
    body = {"scenario": scenario, "engine": engine, "parameters": {"input": URL, **own}}
    return accept(msgspec.convert(body, JobRequest), "job", None, hosts)


def test_a_stream_is_recorded_into_an_output_as_long_as_it_comes() -> None:
    """Without a duration, and into a file whose name says nothing of the key."""
    job = take()
    parameters = job.parameters
    assert (URL, None, "outputs/job.mp4") == (parameters.input, parameters.duration, parameters.output)
    assert (True, True, False, None) == (
        parameters.is_live,
        parameters.reads_stream,
        parameters.is_streamed,
        parameters.input_file,
    )
    assert "rtmp://live.example.org/app/***" == parameters.shown().input


@pytest.mark.parametrize("own", [{}, OUT], ids=["recorded", "sent on"])
@pytest.mark.parametrize("url", [URL, "rtmps://a.example/app/key", "srt://a.example:9000?streamid=x&mode=caller"])
def test_it_waits_for_a_node_that_reads_such_streams_and_auto_says_why_ffmpeg(url: str, own: dict[str, Any]) -> None:
    job = take(**{**own, "input": url})
    scheme = url.partition(":")[0]
    engines = {"gstreamer": ["h264"], "ffmpeg": ["h264"]}
    able = Capabilities(4, engines, features={"ffmpeg": [OPTIONS, f"{scheme}-input"]})
    assert (False, True) == (encodes(Capabilities(4, engines), job.needs), encodes(able, job.needs))
    block = find_block([Capabilities(4, engines)], job.needs)
    assert f"it needs an encoder for h264, and an ffmpeg that reads {scheme}://" in (block or "")
    chosen = choose_engine(able, job.needs, live=True)
    assert ("auto", "ffmpeg", ()) == (job.engine, chosen.engine, chosen.others)
    assert f"gstreamer does not do h264+{scheme}-input" in chosen.reason


@pytest.mark.parametrize(
    ("field", "own"),
    [
        ("parameters.input", {"input": "rtmp://live.example.org/app"}),
        ("parameters.input", {"input": "http://live.example.org/a.m3u8"}),
        ("parameters.input", {"input": "srt://a.example:9000?mode=listener"}),
        ("parameters.input", {"input": "srt://a.example:9000?mode=rendezvous"}),
        ("parameters.input", {"input": "srt://a.example:9000?passphrase=short"}),
        ("parameters.input", {"input": "srt://:9000"}),
        ("parameters.quality", {"quality": "vmaf"}),
        ("parameters.chunk", {"chunk": "60s"}),
        ("parameters.rtmp_url", {"output_mode": "rtmp", "rtmp_url": URL}),
        ("parameters.verify", {**OUT, "verify": "full"}),
        ("engine", {"engine": "gstreamer"}),
        ("scenario", {"scenario": "ladder-hls"}),
        ("scenario", {"scenario": "twice"}),
        ("scenario", {"scenario": "copies"}),
        ("scenario", {"scenario": "at-its-rate"}),
        ("scenario", {**OUT, "scenario": "720p30-h265"}),
        ("scenario", {"encoder": "h264_nvenc"}),
    ],
)
def test_what_cannot_be_done_with_a_stream_is_named(field: str, own: dict[str, Any]) -> None:
    basic = {"extends": "720p30-h264"}
    named = {"twice": {"rate": {"mode": "two-pass"}}, "copies": {"audio": {"codec": "copy"}}}
    named["at-its-rate"] = {"picture": {"frame_rate": "source"}}
    use_scenarios(read_scenarios({name: {**basic, **what} for name, what in named.items()}))
    try:
        with pytest.raises(InvalidField) as caught:
            take(**own)
    finally:
        use_scenarios({})
    assert field == caught.value.field


def test_the_farm_says_with_which_hosts_also_of_inputs() -> None:
    assert URL == take(StreamHosts(("*.example.org",), open_to_others=True)).parameters.input
    with pytest.raises(InvalidField, match="stream_hosts"):
        take(StreamHosts(("other.example",)))
    with pytest.raises(InvalidField, match=r"parameters.input.*private network"):
        take(StreamHosts(open_to_others=True), input="srt://192.168.0.1:9000")


def test_a_file_whose_name_has_a_colon_is_a_file() -> None:
    assert "a/b:c.mp4" == take(input="a/b:c.mp4").parameters.input_file
