"""How soon a cancel reaches a running engine on another node, through another master than the one that took the job.

All is real: two masters (`reelmill master`), nats-server, PostgreSQL, a worker that joined with a token, ffmpeg. Each
job is submitted through the first master and canceled through the second. The clock runs from the moment at which the
cancel is sent until the engine's process has ended, looked at every two milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import psutil
from fleet_parts import REELMILL, FleetParts, fleet_parts
from stores import describe_machine, store_at

from reelmill.service import running
from reelmill.store.tokens import replace_token

T = TypeVar("T")

_LOOK_SECONDS = 0.002
_PATIENCE_SECONDS = 60.0
ENDLESS = {"scenario": "480p30-h264", "parameters": {"duration": 3600}}


async def let_in(parts: FleetParts) -> None:
    """Let workers join with the token."""
    store = store_at(parts.store)
    async with running(store):
        await store.write(lambda tx: replace_token(tx, "benchmark", parts.token, time.time()))


def until(look: Callable[[], T]) -> T:
    """What ``look`` gives as soon as that is something."""
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while not (seen := look()):
        assert time.perf_counter() < deadline, "it took too long"
        time.sleep(_LOOK_SECONDS)
    return seen


def engines(worker: psutil.Process) -> list[psutil.Process]:
    return [child for child in worker.children(recursive=True) if child.name().startswith("ffmpeg")]


def has_ended(engine: psutil.Process) -> bool:
    try:
        return not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def cancel_one(taking: httpx2.Client, canceling: httpx2.Client, worker: psutil.Process) -> tuple[float, float]:
    """Seconds from the cancel to the end of the engine, and to the answer."""
    job: dict[str, Any] = taking.post("/jobs", json=ENDLESS).raise_for_status().json()
    [engine] = until(lambda: engines(worker))
    until(lambda: taking.get(f"/jobs/{job['id']}").raise_for_status().json()["progress"])
    began = time.perf_counter()
    canceling.post(f"/jobs/{job['id']}/cancel").raise_for_status()
    answered = time.perf_counter() - began
    until(lambda: has_ended(engine))
    ended = time.perf_counter() - began
    until(lambda: not engines(worker))
    return ended, answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    print(describe_machine())
    with fleet_parts() as parts:
        asyncio.run(let_in(parts))
        for _ in range(2):
            parts.start_master()
        argv = [REELMILL, "worker", "--join", parts.join.text, "--name", "node", "--slots", "2"]
        argv += ["--data", parts.folder / "node", "--media", parts.folder]
        worker = psutil.Process(parts.spawn_and_wait(argv, "has joined").pid)
        taking, canceling = (httpx2.Client(base_url=url, timeout=30) for url in parts.urls)
        with taking, canceling:
            pairs = [cancel_one(taking, canceling, worker) for _ in range(options.count)]
    for what, seconds in zip(("engine ended", "answered"), zip(*pairs, strict=True), strict=True):
        median, most = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"{what:<12} median {median:,.0f} ms, max {most:,.0f} ms of {len(seconds)} cancels")


if __name__ == "__main__":
    main()
