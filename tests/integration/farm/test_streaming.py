"""Live jobs, sent to a real RTMP server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from reelmill.domain.stream_url import without_key
from reelmill.worker.probe import Probe
from tests.rtmp_server import RtmpServer, rtmp_server

from .conftest import FarmMaker, FarmUnderTest, no_engine_within


@pytest.fixture
def server(tmp_path: Path) -> Generator[RtmpServer]:
    with rtmp_server(tmp_path) as one:
        yield one


async def test_a_live_job_is_sent_in_real_time_and_says_what_was_sent(
    farm: FarmUnderTest, server: RtmpServer, clip: Path
) -> None:
    """What the server recorded is what the result says: picture, sound, length, frames; and no file is left here."""
    (farm.media / "clip.mp4").write_bytes(clip.read_bytes())
    began = time.monotonic()
    job = await farm.ended(
        await farm.submit(input="clip.mp4", output_mode="rtmp", rtmp_url=server.url("film"), bitrate="1M")
    )
    assert time.monotonic() - began >= 1.4  # ffmpeg begins with a burst of half a second
    history = await farm.get(f"/jobs/{job['id']}/history")
    assert ("completed", 1) == (job["status"], job["attempt"]), history
    result = job["result"]
    assert (without_key(server.url("film")), None, 60) == (result["output"], result["sha256"], result["frames"])
    assert ("h264", 640, 480, "aac") == (result["codec"], result["width"], result["height"], result["audio_codec"])
    assert ("sending", 0, 0) == tuple(result["stream"][name] for name in ("state", "dropped", "reconnects"))

    [recording] = server.recordings("film")
    probe = Probe()
    try:
        found = await probe.probe(recording, count_frames=True)
    finally:
        await probe.stop()
    assert ("h264", 640, 480, 60, ("aac",)) == (
        found.codec,
        found.width,
        found.height,
        found.frames,
        found.audio_codecs,
    )
    assert abs(found.duration - 2.0) < 0.2
    assert abs(recording.stat().st_size - result["size_bytes"]) < 0.1 * result["size_bytes"]
    assert [] == [path for path in farm.media.rglob("*") if path.is_file() and path.name != "clip.mp4"]


async def test_a_stream_to_a_wrong_place_is_refused_at_once(make_farm: FarmMaker) -> None:
    """422, with the field and what to write; also for a host that the farm's owner does not allow."""
    farm = make_farm(stream_hosts="*.example.org, 127.0.0.1")
    await farm.start_master()
    for url, sentence in (
        ("http://127.0.0.1/live/a", "must begin with rtmp://"),
        ("rtmp://127.0.0.1/live", "names no stream"),
        ("rtmp://10.0.0.1/live/a", "stream_hosts"),
    ):
        body = {"scenario": "480p30-h264", "parameters": {"output_mode": "rtmp", "rtmp_url": url}}
        answer = await farm.http.post("/jobs", json=body)
        assert (422, "parameters.rtmp_url") == (answer.status_code, answer.json()["field"])
        assert sentence in answer.json()["detail"]


async def test_no_answer_has_the_key_of_a_stream(farm: FarmUnderTest, server: RtmpServer) -> None:
    """Not the job, the lists, the page, its log, its history and its events; the server has it, and took the stream."""
    key = "key-4711-4711"
    asked: dict[str, Any] = {"duration": 1, "output_mode": "rtmp", "rtmp_url": f"{server.url(key)}?token=hush-hush"}
    job = await farm.ended(await farm.submit(**asked))
    assert "completed" == job["status"]
    assert [server.url("***") + "?***"] * 2 == [job["parameters"]["rtmp_url"], job["result"]["output"]]
    assert 1 == len(server.recordings(key))
    log = await farm.get(f"/jobs/{job['id']}/logs")
    [attempt] = log["attempts"]
    assert "rtmp://127.0.0.1" in attempt["command"]
    assert "Output #0, fifo" in attempt["text"]
    assert "[verbose]" not in attempt["text"]
    for path in (
        "",
        f"jobs/{job['id']}",
        f"jobs/{job['id']}/logs",
        f"jobs/{job['id']}/history",
        "jobs",
        "jobs?limit=9",
    ):
        said = (await farm.http.get(f"/{path}")).raise_for_status().text
        assert "hush" not in said, path
        assert "4711" not in said, path


async def test_a_canceled_live_job_ends_within_a_second(farm: FarmUnderTest, server: RtmpServer) -> None:
    """Its engine is gone, and with it the connection."""
    job = await farm.running(await farm.submit(duration=600, output_mode="rtmp", rtmp_url=server.url("long")))
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(server.try_to_play, "long"):
            pass
    (await farm.http.post(f"/jobs/{job['id']}/cancel")).raise_for_status()
    await no_engine_within(1.0)
    assert "canceled" == (await farm.job(job))["status"]


@pytest.mark.parametrize("is_there", [True, False], ids=["refuses", "absent"])
async def test_a_server_that_never_takes_the_stream_fails_the_job_after_a_bound(
    make_farm: FarmMaker, server: RtmpServer, is_there: bool
) -> None:
    """It is tried again, as the network's fault, and says which server and why."""
    farm = make_farm(max_failures=2, retry_base_seconds=0.1)
    farm.worker = farm.new_worker(hang_seconds=2.0)
    await farm.start_master()
    await farm.worker.start()
    if not is_there:
        server.stop()
    url = server.url("a", "other")
    job = await farm.ended(await farm.submit(duration=600, output_mode="rtmp", rtmp_url=url))
    assert ("failed", "network_error", "stream_server_unreachable", 2) == (
        job["status"],
        job["failure_reason"],
        job["error_code"],
        job["attempt"],
    )
    assert without_key(url) in job["error"]
    assert is_there or "Connection refused" in job["error"]
