"""What a live job may ask for: one that is sent to a server as it is encoded, or that reads a stream as it comes."""

from __future__ import annotations

from reelmill.domain.encoder import is_hardware
from reelmill.domain.job import EngineChoice, Parameters
from reelmill.domain.rendition import check_streamable
from reelmill.domain.scenario import Scenario
from reelmill.domain.stream_url import INPUT_SCHEMES, RTMP_SCHEMES, StreamHosts, check_stream_url, is_stream_url
from reelmill.errors import InvalidField


def check_live_input(field: str, source: str | None, hosts: StreamHosts) -> str | None:
    """The URL, if the input is meant as one and is good; None for a file, or no input."""
    if source is None or not is_stream_url(source):
        return None
    return check_stream_url(field, source, INPUT_SCHEMES, hosts)


def check_live(
    asked_engine: EngineChoice, asked_output: str | None, parameters: Parameters, scenario: Scenario, hosts: StreamHosts
) -> None:
    """InvalidField when what is asked of a live job cannot be done while it runs. Others pass as they are."""
    if asked_engine == "gstreamer" and parameters.is_live:
        raise InvalidField("engine", "'gstreamer' reads and sends no streams; leave `engine` out")
    if parameters.reads_stream:
        _check_reading(parameters, scenario)
    if parameters.output_mode == "file":
        if parameters.rtmp_url is not None:
            raise InvalidField("parameters.rtmp_url", "needs the output_mode 'rtmp'")
        return
    if parameters.rtmp_url is None:
        raise InvalidField("parameters.rtmp_url", "is missing: where shall the stream go? Write rtmp://host/app/key")
    check_stream_url("parameters.rtmp_url", parameters.rtmp_url, RTMP_SCHEMES, hosts)
    if parameters.rtmp_url == parameters.input:
        raise InvalidField("parameters.rtmp_url", "is the input itself")
    if asked_output is not None:
        raise InvalidField("parameters.output", "is a file, and a stream has none; leave it out")
    looks = {"quality": parameters.quality is not None, "verify": parameters.verify != "ends"}
    for field, is_asked in (looks | {"chunk": parameters.chunk is not None}).items():
        if is_asked:
            raise InvalidField(f"parameters.{field}", "is for files, and a stream has none; leave it out")
    check_streamable("scenario", scenario)


def _check_reading(parameters: Parameters, scenario: Scenario) -> None:
    """A stream comes once, and nothing of it is known before."""
    for field, is_asked in (("quality", parameters.quality is not None), ("chunk", parameters.chunk is not None)):
        if is_asked:
            raise InvalidField(f"parameters.{field}", "reads the input again, and a stream comes once; leave it out")
    for wrong, what in (
        (scenario.ladder is not None, "makes several renditions, and of a stream one is made"),
        (scenario.thumbnails is not None, "makes pictures of a film whose length is known; record the stream first"),
        (scenario.rate.mode == "two-pass", "reads the input twice, and a stream comes once"),
        (scenario.audio.codec == "copy", "copies the sound, and that of a stream is encoded"),
        (scenario.subtitles != "none", "keeps subtitles, and of a stream none are kept"),
        (scenario.picture.frame_rate == "source", "has the source's frame rate, and that of a stream is not known"),
        (scenario.picture.dynamic_range == "keep", "keeps HDR, and of a stream nothing is known before"),
        (is_hardware(scenario.encoder or ""), f"names {scenario.encoder}, and streams are encoded in software"),
    ):
        if wrong:
            raise InvalidField("scenario", f"{scenario.name} {what}; use another scenario")
