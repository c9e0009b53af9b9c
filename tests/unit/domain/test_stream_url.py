"""Which URLs a stream may have (P9): each wrong one is named with what to write instead."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelmill.domain.job import NewJob
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.stream_url import (
    ANY_HOST,
    INPUT_SCHEMES,
    RTMP_SCHEMES,
    StreamHosts,
    check_stream_url,
    hide_keys,
    is_stream_url,
    without_key,
)
from reelmill.errors import InvalidField

URL = "rtmp://live.example.org/app/key"


def take(parameters: dict[str, Any], hosts: StreamHosts = ANY_HOST, **fields: Any) -> NewJob:
    """What the domain makes of a body, at a farm that may stream with these hosts."""
    body: dict[str, Any] = {"scenario": "720p30-h264", "parameters": parameters, **fields}
    return accept(msgspec.convert(body, JobRequest), "job", None, hosts)


@pytest.mark.parametrize(
    "url",
    [URL, "rtmps://a.b:443/app/key?token=x%20y", "rtmp://127.0.0.1:1935/a/b/c", "rtmp://[::1]:1935/a/b"],
)
def test_a_plain_stream_is_taken_as_it_is(url: str) -> None:
    assert url == check_stream_url("f", url, RTMP_SCHEMES)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must begin with"),
        ("out.mp4", "must begin with"),
        ("http://host/app/key", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("rtmpt://host/app/key", "must begin with"),
        ("srt://host:9000", "must begin with"),
        ("RTMP://host/app/key", "must begin with"),
        ("rtmp:///app/key", "names no host"),
        ("rtmp://host:0/app/key", "wrong port"),
        ("rtmp://host:99999/app/key", "is no URL"),
        ("rtmp://host:x/app/key", "is no URL"),
        ("rtmp://[::1/app/key", "is no URL"),
        ("rtmp://-host/app/key", "names no host"),
        ("rtmp://ho%2fst/app/key", "names no host"),
        ("rtmp://host", "names no stream"),
        ("rtmp://host/app", "names no stream"),
        ("rtmp://host//key/", "names no stream"),
        ("rtmp://user:pw@host/app/key", "user or password"),
        ("rtmp://host/app/key live=1", "character"),
        ("rtmp://host/app/key\nx", "character"),
        ("rtmp://host/app/ключ", "character"),
        ("rtmp://host/app/a|b", "character"),
        ("rtmp://host/app/key#x", "'#'"),
        ("rtmp://host/app/" + "k" * 1024, "longer than"),
    ],
)
def test_what_is_no_stream_is_refused_with_what_to_write(url: str, sentence: str) -> None:
    with pytest.raises(InvalidField, match="rtmp_url") as caught:
        take({"output_mode": "rtmp", "rtmp_url": url})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("srt://host", "needs a port"),
        ("srt://host:9000/path", "needs a port"),
        ("srt://host:9000?mode=caller&localport=1", "'localport'"),
        ("srt://host:9000?transtype=file", "'transtype'"),
    ],
)
def test_an_srt_url_says_no_more_than_its_stream(url: str, sentence: str) -> None:
    good = "srt://host:9000?mode=caller&streamid=a&passphrase=0123456789&latency=200000"
    assert good == check_stream_url("f", good, INPUT_SCHEMES)
    with pytest.raises(InvalidField) as caught:
        check_stream_url("f", url, INPUT_SCHEMES)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://host/app/key-4711",
            "rtmp:/host/app/key-4711",
            "rtmp://ho st/app/key-4711",
            "rtmp://host/app/key-4711#",
        ),
        *("rtmp://host/key-4711", "rtmp://host:0/app/key-4711", "rtmp://[::1/app/key-4711", "rtmp://u:p@host/key-4711"),
        *("srt://host?streamid=key-4711", "srt://host:1/key-4711", "srt://host:1?key-4711", "srt://h:1?mode=key-4711"),
    ],
)
def test_a_refusal_does_not_say_the_key(url: str) -> None:
    """Answers land in the logs of CI jobs; a URL with a slip of the pen has a key as well."""
    with pytest.raises(InvalidField) as caught:
        check_stream_url("parameters.input", url, INPUT_SCHEMES)
    assert "key-4711" not in str(caught.value)


def test_a_url_whose_key_was_hidden_is_not_taken_for_one() -> None:
    """Somebody copies what a page or an answer showed."""
    for url in ("rtmp://h/app/***", "srt://h:9000?***"):
        with pytest.raises(InvalidField, match="hidden"):
            check_stream_url("parameters.input", url, INPUT_SCHEMES)


@pytest.mark.parametrize(
    ("hosts", "is_allowed"),
    [((), True), (("live.example.org",), True), (("*.EXAMPLE.org",), True), (("other.org", "example.org"), False)],
)
def test_a_farm_streams_with_the_hosts_it_may(hosts: tuple[str, ...], is_allowed: bool) -> None:
    if is_allowed:
        assert URL == take({"output_mode": "rtmp", "rtmp_url": URL}, StreamHosts(hosts)).parameters.rtmp_url
        return
    with pytest.raises(InvalidField, match="stream_hosts"):
        take({"output_mode": "rtmp", "rtmp_url": URL}, StreamHosts(hosts))


INSIDE = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"),
    *("localhost", "LOCALHOST", "a.localhost", "ip6-localhost", "10.1.2.3", "172.16.0.1", "192.168.0.9", "100.64.0.1"),
    *("169.254.169.254", "[fe80::1]", "[fd00::1]", "224.0.0.1", "[ff0e::1]"),
    *("[::ffff:100.100.100.200]", "[::ffff:224.0.0.1]", "[::10.0.0.1]", "[2002:a00:1::1]", "[64:ff9b::a00:1]"),
    *("[fec0::1]", "[2001::1]", "localhost4", "localhost6", "localhost.localdomain", "localhost4.localdomain4"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_a_farm_that_is_open_to_others_streams_with_nothing_inside_its_network(host: str) -> None:
    """However the address is written; unless the setting names it. A farm of one machine takes it."""
    url = f"rtmp://{host}/app/key"
    parameters = {"output_mode": "rtmp", "rtmp_url": url}
    with pytest.raises(InvalidField, match=r"private network.*stream_hosts"):
        take(parameters, StreamHosts(open_to_others=True))
    named = StreamHosts((host.strip("[]"),), open_to_others=True)
    assert url == take(parameters, named).parameters.rtmp_url == take(parameters).parameters.rtmp_url


@pytest.mark.parametrize("host", ["live.example.org", "8.8.8.8", "[2001:4860:4860::8888]", "localhost.example.org"])
def test_a_farm_that_is_open_to_others_streams_with_the_internet(host: str) -> None:
    url = f"rtmp://{host}/app/key"
    assert url == check_stream_url("f", url, RTMP_SCHEMES, StreamHosts(open_to_others=True))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "rtmp://live.example.org/app/***"),
        ("rtmps://h:443/app/key?token=x", "rtmps://h:443/app/***?***"),
        ("rtmp://[::1]:1935/app/instance/key/", "rtmp://[::1]:1935/app/***"),
        ("rtmp://h/app/", "rtmp://h/app/***"),
        ("srt://h:9000", "srt://h:9000"),
        ("srt://h:9000?streamid=a&passphrase=0123456789", "srt://h:9000?***"),
        ("srt://h:9000/?streamid=a", "srt://h:9000/?***"),
    ],
)
def test_of_a_url_only_its_server_and_application_are_shown(url: str, shown: str) -> None:
    assert shown == without_key(url)


def test_the_key_is_hidden_wherever_it_stands() -> None:
    """Alone, within a URL, decoded; but a short one only within its URL, since it may be any word."""
    secret = "rtmp://h/app/live_4711?token=pa%20ss%20word"
    said = f"Output to '{secret}': server of rtmp://h refused live_4711, token pa ss word or pa%20ss%20word"
    hidden = "Output to 'rtmp://h/app/***?***': server of rtmp://h refused ***, token *** or ***"
    assert hidden == hide_keys(said, [secret])
    assert "a tv set at rtmp://h/app/***" == hide_keys("a tv set at rtmp://h/app/tv", ["rtmp://h/app/tv"])


def test_a_stream_has_no_output_and_runs_where_one_can_be_sent() -> None:
    job = take({"output_mode": "rtmp", "rtmp_url": URL})
    assert (None, "ffmpeg", "ffmpeg") == (job.parameters.output, job.engine, job.needs.engine)
    assert job.parameters.is_streamed
    assert not take({}).parameters.is_streamed


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("parameters.rtmp_url", {"parameters": {"rtmp_url": URL}}),
        ("parameters.rtmp_url", {"parameters": {"output_mode": "file", "rtmp_url": URL}}),
        ("parameters.rtmp_url", {"parameters": {"output_mode": "rtmp"}}),
        ("parameters.output", {"parameters": {"output_mode": "rtmp", "rtmp_url": URL, "output": "a.mp4"}}),
        ("parameters.quality", {"parameters": {"output_mode": "rtmp", "rtmp_url": URL, "quality": "ssim"}}),
        ("parameters.verify", {"parameters": {"output_mode": "rtmp", "rtmp_url": URL, "verify": "full"}}),
        ("scenario", {"parameters": {"output_mode": "rtmp", "rtmp_url": URL}, "scenario": "720p30-h265"}),
        ("engine", {"parameters": {"output_mode": "rtmp", "rtmp_url": URL}, "engine": "gstreamer"}),
    ],
)
def test_what_does_not_go_together_is_named(field: str, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as caught:
        take(**body)
    assert field == caught.value.field


@pytest.mark.parametrize(
    ("text", "is_one"), [(URL, True), ("srt://h:1", True), ("a/b:c.mp4", False), ("file", False), ("1://x", False)]
)
def test_a_url_is_told_from_a_path(text: str, is_one: bool) -> None:
    assert is_one == is_stream_url(text)
