"""A fleet whose media are in a real object store: workers have no folder, and no credentials."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import obstore
import pytest

from reelmill.worker.inventory import find_ffmpeg
from tests.e2e.conftest import wait_for
from tests.e2e.fleet import Fleet, kill
from tests.object_store import BUCKET, CREDENTIALS, ObjectStore, object_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PREFIX = "farm"
URL = f"s3://{BUCKET}/{PREFIX}"
JOBS = 24


@pytest.fixture
def s3(tmp_path: Path) -> Generator[ObjectStore, None, None]:
    """A store of its own."""
    folder = tmp_path / "weed"
    folder.mkdir()
    with object_store(folder) as store:
        yield store


def job(number: int) -> dict[str, Any]:
    where = {"input": f"in/{number % 3}.mp4", "output": f"out/{number}.mp4"}
    return {"scenario": "480p30-h264", "parameters": where}


def put_inputs(s3: ObjectStore, folder: Path) -> None:
    """Three small films."""
    for number in range(3):
        path = folder / f"{number}.mp4"
        source = ["-f", "lavfi", "-i", f"testsrc2=size=640x480:rate={25 + number}", "-t", "3", "-pix_fmt", "yuv420p"]
        subprocess.run([find_ffmpeg().path, "-v", "error", *source, path], check=True)
        obstore.put(s3.client(PREFIX), f"in/{number}.mp4", path.read_bytes())


def names(s3: ObjectStore) -> list[str]:
    return sorted(one["path"] for some in obstore.list(s3.client(PREFIX)) for one in some)  # pyright: ignore[reportUnknownMemberType]


def test_each_output_is_published_once_though_a_worker_dies(fleet: Fleet, s3: ObjectStore, tmp_path: Path) -> None:
    """The objects have the hashes that the jobs say; nothing of an attempt is left; no worker has a credential."""
    put_inputs(s3, tmp_path)
    for _ in range(2):
        fleet.master(URL, REELMILL_MEDIA_ENDPOINT=s3.endpoint, **CREDENTIALS)
    assert URL == fleet.get("/health")["media_root"]
    workers = {name: fleet.far_worker(name, "--slots", "2") for name in ("a", "b", "c")}
    checked = fleet.commands.run("doctor", "--fleet", "--master", fleet.urls[-1], "-o", "json")
    assert 0 == checked.returncode, checked.stdout + checked.stderr
    assert {s3.endpoint} == {place["place"] for place in json.loads(checked.stdout)}
    for number in range(JOBS):
        fleet.post("/jobs", job(number), master=number % 2)
    wait_for(lambda: [one["node_name"] for one in fleet.jobs(status="running")], lambda seen: "b" in seen)
    kill(workers["b"])
    jobs = fleet.until_ended(JOBS)
    assert {"completed"} == {one["status"] for one in jobs}, [one["error"] for one in jobs]
    for one in jobs:
        content = bytes(obstore.get(s3.client(PREFIX), one["result"]["output"]).bytes())
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (
            one["result"]["sha256"],
            one["result"]["size_bytes"],
        )
    outputs = [f"out/{number}.mp4" for number in range(JOBS)]
    wait_for(lambda: names(s3), lambda seen: seen == sorted([f"in/{n}.mp4" for n in range(3)] + outputs), 150)
    for one in jobs:
        steps = fleet.get(f"/jobs/{one['id']}/history")["history"]
        assert 1 == [step["to_status"] for step in steps].count("completed")


def test_a_master_says_at_its_start_what_cannot_work(fleet: Fleet, s3: ObjectStore) -> None:
    """And ends; so says `doctor`, and a worker that is told of a store."""
    wrong = {**CREDENTIALS, "AWS_SECRET_ACCESS_KEY": "wrong", "REELMILL_MEDIA_ENDPOINT": s3.endpoint}
    where = ["--port", "0", "--data", str(fleet.folder / "m"), "--store", fleet.store, "--media", URL]
    end = fleet.commands.run("master", *where, seconds=100, REELMILL_BUS=fleet.bus, **wrong)
    assert (1, "") == (end.returncode, end.stdout)
    assert "refuses the credentials" in end.stderr
    end = fleet.commands.run(
        "doctor", "--port", "0", "--data", str(fleet.folder / "d"), "--media", URL, "-o", "csv", seconds=100, **wrong
    )
    assert 1 == end.returncode
    assert "refuses the credentials" in end.stdout
    end = fleet.commands.run("worker", "--join", "reelmill://x@localhost:1", "--media", URL)
    assert 2 == end.returncode
    assert "leave --media out" in end.stderr
