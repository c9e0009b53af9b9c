"""One long file in one piece on one node, and in chunks on two: how much sooner it is done, and what it costs.

A farm in one process, two workers of one CPU unit each, real ffmpeg: real footage looped to the asked length and scaled
to 1080p. Both outputs are measured against the source (VMAF of every n-th frame), and their times are compared frame
by frame. Then the model says what more nodes would do:

    T(n) = split + makespan(chunks, n) + join

where the chunks go in order to whichever of ``n`` nodes is free first: as long as they took here, and, for nodes that
have a core of their own, as long as their CPU time, which other work on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import httpx2
import uvloop
from stores import describe_machine

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.sqlite import SqliteStore
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import Inventory, discover

SCENARIO = "long"
SCENARIOS = {SCENARIO: {"extends": "1080p30-h264", "preset": "veryfast"}}
NODES = (1, 2, 4, 8)


def make_film(path: Path, inventory: Inventory, source: Path, seconds: float) -> None:
    """The source again and again, at 1080p, with a key picture every two seconds."""
    command = [
        *(str(inventory.ffmpeg.path), "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", str(seconds)),
        *("-s", "1920x1080", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-g", "50"),
        *("-c:a", "aac", "-ac", "2", str(path)),
    ]
    subprocess.run(command, check=True)


def picture_times(path: Path) -> list[int]:
    """In ticks of the container, in order."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(packet.pts for packet in packets if packet.size and packet.pts is not None)


def seconds_between(begin: str, end: str) -> float:
    """Of two times as the API writes them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def makespan(lengths: Sequence[float], nodes: int) -> float:
    """How long the pieces take when each goes, in order, to the node that is free first."""
    free = [0.0] * nodes
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


async def run(http: httpx2.AsyncClient, **parameters: Any) -> dict[str, Any]:
    """The job, at its end."""
    body = {"scenario": SCENARIO, "parameters": parameters}
    job = (await http.post("/jobs", json=body)).raise_for_status().json()
    while job["completed_at"] is None:
        await asyncio.sleep(0.1)
        job = (await http.get(f"/jobs/{job['id']}")).raise_for_status().json()
    if job["status"] != "completed":
        raise SystemExit(f"{job['status']}: {job['error']}")
    return job


def wall(job: dict[str, Any]) -> float:
    """Seconds from its submission to its end, without the measuring of its quality."""
    return seconds_between(job["created_at"], job["completed_at"]) - job["result"]["quality"]["seconds"]


async def measure(asked: argparse.Namespace, folder: Path) -> None:
    inventory = await discover(1)
    film = folder / "film.mp4"
    make_film(film, inventory, asked.source, asked.seconds)
    settings = Settings(port=0, data=folder, media=folder, scenarios=SCENARIOS)
    store, bus = SqliteStore(folder / "farm.db"), MemoryBus()
    master = Master(settings, store, bus, SystemClock(), alone=True)
    workers = [Worker(bus, inventory, SharedFolder(folder), name=f"node-{number}") for number in (1, 2)]
    for service in (store, bus, master, workers[0]):
        await service.start()
    quality = {"quality": "vmaf", "quality_sample": asked.sample}
    async with httpx2.AsyncClient(base_url=master.url, timeout=60) as http:
        whole = await run(http, input="film.mp4", output="whole.mp4", **quality)
        await workers[1].start()
        cut = await run(http, input="film.mp4", output="cut.mp4", chunk=asked.chunk, **quality)
        chunks = (await http.get(f"/jobs?parent={cut['id']}")).json()["jobs"]
        history = (await http.get(f"/jobs/{cut['id']}/history")).json()["history"]
    for service in (*workers, master, bus, store):
        await service.stop()
    report(whole, cut, chunks, history)
    same = picture_times(folder / "whole.mp4") == picture_times(folder / "cut.mp4")
    print(
        f"frames {whole['result']['frames']:,} and {cut['result']['frames']:,}, times {'equal' if same else 'DIFFER'}"
    )


def report(whole: dict[str, Any], cut: dict[str, Any], chunks: list[dict[str, Any]], steps: list[Any]) -> None:
    """What was measured, and what the model makes of it."""
    split = next(seconds_between(cut["created_at"], step["at"]) for step in steps if "split into" in step["reason"])
    joined = [step["at"] for step in steps if step["to_status"] == "assigned"][-1]
    join = seconds_between(joined, cut["completed_at"]) - cut["result"]["quality"]["seconds"]
    lengths = [seconds_between(one["assigned_at"], one["completed_at"]) for one in chunks]
    alone, together = wall(whole), wall(cut)
    print(f"in one piece on one node: {alone:.1f} s; in {len(chunks)} chunks on two: {together:.1f} s", end="; ")
    print(f"ratio {together / alone:.2f}")
    print(f"split {split:.2f} s, chunks {min(lengths):.1f} to {max(lengths):.1f} s, join {join:.1f} s")
    scores = [job["result"]["quality"]["mean"] for job in (whole, cut)]
    sizes = [job["result"]["size_bytes"] / 1e6 for job in (whole, cut)]
    print(f"VMAF {scores[0]:.2f} and {scores[1]:.2f}; {sizes[0]:.1f} and {sizes[1]:.1f} MB")
    cpu = [one["result"]["cpu_seconds"] for one in chunks]
    cpu_alone = whole["result"]["cpu_seconds"]
    print(f"CPU: {cpu_alone:.1f} s in one piece, {sum(cpu):.1f} s in chunks ({min(cpu):.1f} to {max(cpu):.1f})")
    for nodes in NODES:
        predicted, idle = (split + makespan(each, nodes) + join for each in (lengths, cpu))
        print(f"model, {nodes} nodes: {predicted:.1f} s as loaded as here ({predicted / alone:.2f}); ", end="")
        print(f"{idle:.1f} s with a core of its own for each ({idle / cpu_alone:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="real footage, such as that of tests/footage.py")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the film (default: 120)")
    parser.add_argument("--chunk", type=float, default=15.0, help="length of a chunk in seconds (default: 15)")
    parser.add_argument("--sample", type=int, default=10, help="measure every n-th frame (default: 10)")
    asked = parser.parse_args()
    print(describe_machine())
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(asked, Path(folder)))
    print(f"took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
