"""One file in chunks over two workers of a real fleet, one of which loses its power in the middle."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from reelmill.worker.inventory import find_ffmpeg
from tests.e2e.conftest import wait_for
from tests.e2e.fleet import Fleet, engines_of, kill
from tests.footage import BIG_BUCK_BUNNY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_killed_worker_repeats_only_its_chunk(fleet: Fleet) -> None:
    """What others did, and do, stays; the output has every frame, and the sound."""
    fleet.master()
    join = fleet.token()
    workers = {name: fleet.worker(join, name, "--slots", "1") for name in ("one", "two")}
    loop = ["-stream_loop", "2", "-i", str(BIG_BUCK_BUNNY), "-s", "320x180", "-c:v", "libx264", "-g", "25", "-ac", "2"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *loop, fleet.folder / "media" / "film.mp4"], check=True)
    parameters = {"input": "film.mp4", "output": "cut.mp4", "chunk": "2s"}
    job = fleet.post("/jobs", {"scenario": "480p30-h264", "parameters": parameters})

    def chunks() -> list[dict[str, Any]]:
        return fleet.jobs(parent=job["id"])

    def can_be_killed(seen: list[dict[str, Any]]) -> bool:
        done = any(chunk["status"] == "completed" for chunk in seen)
        running = [chunk for chunk in seen if chunk["status"] == "running" and chunk["node_name"] == "one"]
        return done and bool(running) and bool(engines_of(workers["one"]))

    wait_for(chunks, can_be_killed, 200)
    kill(workers["one"])
    [ended] = fleet.until_ended(1)
    assert "completed" == ended["status"], ended["error"]
    found = chunks()
    again = [chunk for chunk in found if chunk["attempt"] > 1]
    assert 1 == len(again), [(chunk["id"], chunk["attempt"]) for chunk in found]
    assert (2, 1, "two") == (again[0]["attempt"], again[0]["crashes"], again[0]["node_name"])
    assert {"completed"} == {chunk["status"] for chunk in found}
    assert sum(chunk["result"]["frames"] for chunk in found) == ended["result"]["frames"]
    assert (2, "aac") == (ended["attempt"], ended["result"]["audio_codec"])
