"""A live job whose server goes away, stands still, or has to share its node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from reelmill.worker.probe import Probe
from tests.rtmp_server import RtmpServer, rtmp_server

from .conftest import FarmMaker, FarmUnderTest


@pytest.fixture
def server(tmp_path: Path) -> Generator[RtmpServer]:
    with rtmp_server(tmp_path) as one:
        yield one


async def seconds_until_played(server: RtmpServer, name: str, most: float = 30) -> float:
    """How long a reader that comes now, and comes again when it is refused, waits for its first picture."""
    began = time.monotonic()
    while not await asyncio.to_thread(server.try_to_play, name):
        assert time.monotonic() - began < most, "no picture"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def frames_of(recordings: list[Path]) -> int:
    probe = Probe()
    try:
        return sum([(await probe.probe(one, count_frames=True)).frames for one in recordings])
    finally:
        await probe.stop()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_server_that_was_restarted_has_the_stream_again_within_seconds(
    farm: FarmUnderTest, server: RtmpServer
) -> None:
    """A minute in real time, the server killed in the middle: one encoder run, one reconnect, the gap is counted."""
    job = await farm.submit(duration=60, output_mode="rtmp", rtmp_url=server.url("tv"), bitrate="1M")
    await farm.running(job)
    await seconds_until_played(server, "tv")
    await asyncio.sleep(15)  # the stream runs
    server.stop()
    await asyncio.sleep(4)  # its server is away
    server.start()
    waited = await seconds_until_played(server, "tv")
    assert waited < 5, f"pictures again behind {waited:.1f} s"

    ended = await farm.ended(job)
    assert ("completed", 1, None) == (ended["status"], ended["attempt"], ended["error"])
    stream: dict[str, Any] = ended["result"]["stream"]
    assert ("sending", 1, 1800) == (stream["state"], stream["reconnects"], ended["result"]["frames"])
    recordings = server.recordings("tv")
    arrived = await frames_of(recordings)
    assert 2 == len(recordings)
    assert 100 < stream["dropped"] < 260
    assert abs(1800 - arrived - stream["dropped"]) < 60


async def stream_is(farm: FarmUnderTest, job: dict[str, Any], state: str, seconds: float) -> dict[str, Any]:
    """The job as the API shows it when its stream is in that state."""
    return await farm.wait(job, lambda seen: seen["stream"] is not None and seen["stream"]["state"] == state, seconds)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_running_job_says_that_its_server_is_away_and_that_it_is_back(
    make_farm: FarmMaker, server: RtmpServer, fault: str
) -> None:
    """Ahead of the beat when it was killed; also when it stands still, which its full buffers show only later."""
    farm = make_farm(beat_seconds=9.0)
    await farm.start_master()
    await farm.worker.start()
    job = await farm.submit(duration=600, output_mode="rtmp", rtmp_url=server.url("tv"), bitrate="2M")
    await stream_is(farm, job, "sending", 20)
    await seconds_until_played(server, "tv")
    await asyncio.sleep(9)  # longer than a server's silence lets a first connection stand: it was accepted

    (server.freeze if fault == "frozen" else server.stop)()
    began = time.monotonic()
    await stream_is(farm, job, "reconnecting", 30 if fault == "frozen" else 6)
    print(f"{fault}: told behind {time.monotonic() - began:.1f} s")  # noqa: T201
    assert "reconnecting" in (await farm.http.get("/")).text
    (server.thaw if fault == "frozen" else server.start)()
    seen = await stream_is(farm, job, "sending", 20)
    assert seen["stream"]["reconnects"] >= 1
    assert seen["stream"]["lag"] < 2
    await seconds_until_played(server, "tv")

    (await farm.http.post(f"/jobs/{job['id']}/cancel")).raise_for_status()
    assert (await farm.ended(job))["stream"] is None


async def test_live_jobs_start_at_once_on_a_node_that_is_full_of_others(
    make_farm: FarmMaker, server: RtmpServer
) -> None:
    """A unit is kept for them; two, one behind the other, each within a second."""
    farm = make_farm()
    farm.worker = farm.new_worker(reserve_live=1)
    await farm.start_master()
    await farm.worker.start()
    for _ in range(5):
        body = {"scenario": "480p30-h264", "queue": "batch", "parameters": {"duration": 600}}
        (await farm.http.post("/jobs", json=body)).raise_for_status()
    for number in (1, 2):
        parameters = {"duration": 2, "output_mode": "rtmp", "rtmp_url": server.url(f"live{number}")}
        body = {"scenario": "480p30-h264", "queue": "live", "parameters": parameters}
        began = time.monotonic()
        job = (await farm.http.post("/jobs", json=body)).raise_for_status().json()
        await farm.running(job)
        assert time.monotonic() - began < 1.0
        assert "completed" == (await farm.ended(job))["status"]
