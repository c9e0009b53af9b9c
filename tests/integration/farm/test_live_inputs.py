"""Jobs whose input is a stream: from a real RTMP server, and by SRT."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import av
import pytest

from reelmill.domain.stream_url import without_key
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from tests.nats_server import free_port
from tests.rtmp_server import HDR, MONO, STEREO_44100, RtmpServer, publisher, rtmp_server

from .conftest import FarmMaker, FarmUnderTest, no_engine_within


@pytest.fixture
def server(tmp_path: Path) -> Generator[RtmpServer]:
    with rtmp_server(tmp_path) as one:
        yield one


@pytest.fixture
async def farm(make_farm: FarmMaker) -> FarmUnderTest:
    """A farm whose worker waits four seconds for a source."""
    return await start(make_farm, 4.0)


async def start(make_farm: FarmMaker, patience: float) -> FarmUnderTest:
    farm = make_farm(max_failures=2, retry_base_seconds=0.1)
    farm.worker = farm.new_worker(hang_seconds=patience)
    await farm.start_master()
    await farm.worker.start()
    return farm


async def look(path: Path) -> MediaInfo:
    probe = Probe()
    try:
        return await probe.probe(path, count_frames=True)
    finally:
        await probe.stop()


async def completed(farm: FarmUnderTest, job: dict[str, Any]) -> dict[str, Any]:
    ended = await farm.ended(job)
    assert ("completed", 1) == (ended["status"], ended["attempt"]), (
        ended["error"],
        await farm.get(f"/jobs/{ended['id']}/logs"),
    )
    return ended


async def stream_is(farm: FarmUnderTest, job: dict[str, Any], state: str, seconds: float = 30) -> dict[str, Any]:
    return await farm.wait(job, lambda seen: seen["stream"] is not None and seen["stream"]["state"] == state, seconds)


async def test_a_stream_is_recorded_for_its_duration(farm: FarmUnderTest, server: RtmpServer) -> None:
    """Put into the scenario's picture and rate, with its sound; and no answer has its key."""
    url = server.url("key-4711")
    with publisher(url):
        job = await completed(farm, await farm.submit(input=url, output="tv.mp4", duration=4))
    found, result = await look(farm.media / "tv.mp4"), job["result"]
    assert ("h264", 854, 480, 30, ("aac",)) == (
        *(found.codec, found.width, found.height, round(found.fps)),
        found.audio_codecs,
    )
    assert abs(found.duration - 4) < 0.6
    assert abs(found.frames - 120) <= 10
    assert (found.frames, "aac", None) == (result["frames"], result["audio_codec"], result["stream"])
    assert {"end": "duration", "reconnects": 0, "away": 0.0} == result["received"]
    assert (without_key(url), "auto", "ffmpeg") == (job["parameters"]["input"], job["engine"], job["engine_used"])
    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}/logs", "/jobs", "/"):
        assert "4711" not in (await farm.http.get(path)).text, path


async def test_a_stream_without_a_duration_is_recorded_to_its_end(farm: FarmUnderTest, server: RtmpServer) -> None:
    """What came is what counts; also without sound, and into another container."""
    url = server.url("show")
    with publisher(url, 6, sound=()):
        job = await completed(farm, await farm.submit(input=url, output="show.mkv"))
    found = await look(farm.media / "show.mkv")
    assert ("matroska", ()) == (found.container, found.audio_codecs)
    assert 3 < found.duration < 7
    assert "source" == job["result"]["received"]["end"]
    assert abs(found.duration - job["result"]["duration"]) < 0.1


async def test_a_source_that_was_restarted_is_recorded_on(farm: FarmUnderTest, server: RtmpServer) -> None:
    """Server and publisher die and come back: one attempt, one file with all that came, one reconnect."""
    url = server.url("tv")
    with publisher(url):
        job = await farm.submit(input=url, output="tv.mp4", duration=14)
        await farm.wait(job, lambda seen: seen["progress"] > 20)
        server.stop()
    await stream_is(farm, job, "reconnecting")
    server.start()
    with publisher(url):
        ended = await completed(farm, job)
    found, received = await look(farm.media / "tv.mp4"), ended["result"]["received"]
    assert ("duration", 1) == (received["end"], received["reconnects"])
    assert received["away"] > 0.5
    assert abs(found.duration + received["away"] - 14) < 2


async def test_a_source_that_comes_back_with_sound_only_does_not_lose_what_was_recorded(
    farm: FarmUnderTest, server: RtmpServer
) -> None:
    """It is away, as one that sends nothing is."""
    url = server.url("tv")
    with publisher(url):
        job = await farm.submit(input=url, output="tv.mp4", duration=600)
        await farm.wait(job, lambda seen: seen["progress"] > 0.5)
        server.stop()
    server.start()
    with publisher(url, picture=()):
        ended = await completed(farm, job)
    assert ("source", 0) == (ended["result"]["received"]["end"], ended["result"]["received"]["reconnects"])
    assert (await look(farm.media / "tv.mp4")).duration > 2


@pytest.mark.parametrize(("before", "after"), [(MONO, STEREO_44100), ((), MONO), (MONO, ())])
async def test_sound_that_changes_behind_a_break_is_one_track(
    farm: FarmUnderTest, server: RtmpServer, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """In rate and layout, or that is there on one side only, where the other is silent: as long as the picture."""
    url = server.url("tv")
    with publisher(url, sound=before):
        job = await farm.submit(input=url, output="tv.mp4", duration=14)
        await farm.wait(job, lambda seen: seen["progress"] > 20)
        server.stop()
    await stream_is(farm, job, "reconnecting")
    server.start()
    with publisher(url, sound=after):
        await completed(farm, job)
    with av.open(str(farm.media / "tv.mp4")) as container:
        [sound] = container.streams.audio
        decoded = list(container.decode(sound))
        picture = float((container.streams.video[0].duration or 0) * (container.streams.video[0].time_base or 0))
    assert {(48000, "stereo")} == {(frame.sample_rate, frame.layout.name) for frame in decoded}
    assert abs(sum(frame.samples for frame in decoded) / 48000 - picture) < 1.0


async def test_an_hdr_source_is_refused_at_once(farm: FarmUnderTest) -> None:
    """Its colours would be wrong; the sentence says what to do."""
    port = free_port()
    with publisher(f"srt://127.0.0.1:{port}?mode=listener", 60, picture=HDR):
        job = await farm.ended(await farm.submit(input=f"srt://127.0.0.1:{port}", output="a.mp4", duration=600))
    assert ("failed", "hdr_stream", 1) == (job["status"], job["error_code"], job["attempt"])
    assert "BT.709" in job["error"]


async def test_a_stream_is_sent_on(farm: FarmUnderTest, server: RtmpServer) -> None:
    """From one server to another application of it, as the scenario says."""
    with publisher(server.url("in")):
        asked: dict[str, Any] = {"output_mode": "rtmp", "rtmp_url": server.url("out"), "bitrate": "1M"}
        job = await completed(farm, await farm.submit(input=server.url("in"), duration=5, **asked))
    result = job["result"]
    assert (server.url("***"), "aac", "sending") == (result["output"], result["audio_codec"], result["stream"]["state"])
    assert ("duration", 0) == (result["received"]["end"], result["stream"]["reconnects"])
    [recording] = server.recordings("out")
    found = await look(recording)
    assert ("h264", 854, 480, ("aac",)) == (found.codec, found.width, found.height, found.audio_codecs)
    assert abs(found.frames - 150) <= 10
    assert abs(recording.stat().st_size - result["size_bytes"]) < 0.1 * result["size_bytes"]


@pytest.mark.slow
async def test_a_publisher_that_begins_anew_behind_a_connection_that_stands_is_found_again(
    make_farm: FarmMaker, server: RtmpServer
) -> None:
    """Its server sends times that lie in the past, of which no picture comes: the connection is given up."""
    farm = await start(make_farm, 20)
    url = server.url("tv")
    with publisher(url):
        job = await farm.submit(input=url, output="tv.mp4", duration=30)
        await farm.wait(job, lambda seen: seen["progress"] > 45)
    with publisher(url):
        ended = await completed(farm, job)
    found, received = await look(farm.media / "tv.mp4"), ended["result"]["received"]
    assert ("duration", 1) == (received["end"], received["reconnects"])
    assert 5 < received["away"] < 16
    assert abs(found.duration + received["away"] - 30) < 2


@pytest.mark.slow
async def test_a_stream_is_sent_on_through_a_break_of_its_source(make_farm: FarmMaker, server: RtmpServer) -> None:
    """The server of the output has a connection for each; the figures are of both together."""
    farm = await start(make_farm, 20)
    asked: dict[str, Any] = {"output_mode": "rtmp", "rtmp_url": server.url("out"), "bitrate": "1M", "duration": 20}
    with publisher(server.url("in")):
        job = await farm.submit(input=server.url("in"), **asked)
        await farm.wait(job, lambda seen: seen["progress"] > 30)
    await stream_is(farm, job, "reconnecting")
    with publisher(server.url("in")):
        ended = await completed(farm, job)
    received, result = ended["result"]["received"], ended["result"]
    assert ("duration", 1, 1) == (received["end"], received["reconnects"], result["stream"]["reconnects"])
    recordings = server.recordings("out")
    frames = sum([(await look(one)).frames for one in recordings])
    assert 2 == len(recordings)
    assert abs(frames - result["frames"]) < 45
    assert abs(result["duration"] + received["away"] - 20) < 2


async def test_a_source_that_comes_later_is_waited_for_and_a_cancel_ends_the_wait(
    farm: FarmUnderTest, server: RtmpServer
) -> None:
    """It says `connecting` meanwhile."""
    url = server.url("later")
    job = await farm.submit(input=url, output="a.mp4", duration=600)
    await stream_is(farm, job, "connecting")
    (await farm.http.post(f"/jobs/{job['id']}/cancel")).raise_for_status()
    await no_engine_within(1.0)
    assert ("canceled", []) == ((await farm.job(job))["status"], farm.attempt_folders())
    job = await farm.submit(input=url, output="a.mp4", duration=3)
    await stream_is(farm, job, "connecting")
    with publisher(url):
        await completed(farm, job)


async def test_a_source_that_never_comes_fails_the_job_after_a_bound(farm: FarmUnderTest, server: RtmpServer) -> None:
    """As the network's fault, tried again, with the source and the engine's reason."""
    server.stop()
    url = server.url("never")
    job = await farm.ended(await farm.submit(input=url, output="a.mp4", duration=600))
    assert ("failed", "network_error", "stream_source_missing", 2) == tuple(
        job[name] for name in ("status", "failure_reason", "error_code", "attempt")
    )
    assert without_key(url) in job["error"]
    assert "Connection refused" in job["error"]


async def test_a_key_that_is_a_word_of_the_engine_does_not_change_what_its_words_mean(
    farm: FarmUnderTest, server: RtmpServer
) -> None:
    """`Stream map … matches no streams`: hidden in what is shown, and judged as it was said."""
    with publisher(server.url("stream"), picture=()):
        job = await farm.ended(await farm.submit(input=server.url("stream"), output="a.mp4", duration=600))
    assert ("failed", "no_video_stream", 1) == (job["status"], job["error_code"], job["attempt"])
    assert "app/stream" not in (await farm.http.get(f"/jobs/{job['id']}/logs")).text


async def test_an_srt_source_is_recorded(farm: FarmUnderTest) -> None:
    """From an ffmpeg that listens, whose end is the end of its one connection."""
    port = free_port()
    with publisher(f"srt://127.0.0.1:{port}?mode=listener", 6):
        job = await completed(farm, await farm.submit(input=f"srt://127.0.0.1:{port}?latency=20000", output="srt.mp4"))
    found = await look(farm.media / "srt.mp4")
    assert ("h264", ("aac",)) == (found.codec, found.audio_codecs)
    assert 3 < found.duration < 8
    assert ("source", 0) == (job["result"]["received"]["end"], job["result"]["received"]["reconnects"])
