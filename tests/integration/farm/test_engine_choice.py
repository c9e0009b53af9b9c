"""Which engine a job gets on a node with two, and that the job says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reelmill.worker.inventory import find_ffmpeg

from .conftest import FarmUnderTest


async def run(farm: FarmUnderTest, **asked: Any) -> dict[str, Any]:
    parameters = {"duration": 0.3, **asked.pop("parameters", {})}
    answer = await farm.http.post("/jobs", json={"scenario": "480p30-h264", "parameters": parameters, **asked})
    assert answer.status_code == 201, answer.text
    return await farm.ended(answer.json())


@pytest.mark.parametrize(
    ("asked", "engine", "encoder", "reason"),
    [
        ({}, "ffmpeg", "libx264", "auto: files go to ffmpeg"),
        ({"queue": "live"}, "gstreamer", "x264enc", "auto: jobs of the live queue go to gstreamer"),
        ({"engine": "gstreamer"}, "gstreamer", "x264enc", "asked for by name"),
        (
            {"engine": "ffmpeg", "queue": "live"},
            "ffmpeg",
            "libx264",
            "asked for by name, or the only engine that does what the job asks",
        ),
    ],
)
async def test_a_job_keeps_its_engine_and_why(
    farm: FarmUnderTest, asked: dict[str, Any], engine: str, encoder: str, reason: str
) -> None:
    """On the job, in its history and in its result."""
    job = await run(farm, **asked)
    assert job["status"] == "completed", job
    assert (engine, reason) == (job["engine_used"], job["engine_reason"])
    assert (engine, encoder, None) == tuple(job["result"].get(name) for name in ("engine", "encoder", "fallback"))
    steps = (await farm.get(f"/jobs/{job['id']}/history"))["history"]
    [assigned] = [step["reason"] for step in steps if step["to_status"] == "assigned"]
    assert f"assigned to node-1 ({engine}; {reason})" == assigned


def interlaced(folder: Path) -> Path:
    """A film that GStreamer does not encode here."""
    path = folder / "interlaced.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50:duration=1", "-vf", "interlace"]
    codec = ["-c:v", "libx264", "-flags", "+ildct+ilme", "-x264opts", "tff=1"]
    subprocess.run([str(find_ffmpeg().path), "-v", "error", *source, *codec, str(path)], check=True)
    return path


async def test_auto_goes_on_with_the_other_engine_in_the_same_attempt(farm: FarmUnderTest, tmp_path: Path) -> None:
    """What the first engine cannot open the other does, and the result says what happened."""
    shutil.move(interlaced(tmp_path), farm.media / "tv.mp4")
    job = await run(farm, queue="live", parameters={"input": "tv.mp4"})
    assert (job["status"], job["attempt"]) == ("completed", 1), job
    assert "ffmpeg" == job["result"]["engine"]
    assert "gstreamer" == job["engine_used"]
    assert job["result"]["fallback"].startswith("not x264enc of gstreamer (engine_unable: ")


async def test_an_engine_asked_for_by_name_is_never_replaced(farm: FarmUnderTest, tmp_path: Path) -> None:
    """It fails with its name, though ffmpeg is there and could."""
    shutil.move(interlaced(tmp_path), farm.media / "tv.mp4")
    job = await run(farm, engine="gstreamer", parameters={"input": "tv.mp4"})
    assert ("failed", "capability_mismatch", "engine_unable", 1) == tuple(
        job[name] for name in ("status", "failure_reason", "error_code", "attempt")
    )
