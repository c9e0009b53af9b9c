"""What a claim, a page and the summary cost when 1,000, 100,000 or 1,000,000 jobs wait.

In front of the jobs that the node can run stand as many that it cannot (they need GStreamer), in a queue that comes
first. Each size is measured on a database of its own; the ratio compares with the smallest.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable

import uuid_utils
from stores import NAMES, describe, describe_machine, open_store

from reelmill.domain.attempt import AttemptReport, Grant, Offer
from reelmill.domain.capability import Capabilities
from reelmill.domain.job import NewJob, Result
from reelmill.domain.lifecycle import Publish, Settle, Start
from reelmill.domain.request import JobRequest, accept
from reelmill.domain.retry import RetryPolicy
from reelmill.store.attempts import report
from reelmill.store.claim import claim
from reelmill.store.counts import read_counts
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.protocol import Store
from reelmill.store.submit import insert_jobs
from reelmill.store.transition import Rules

OFFER = Offer("n", "n", Capabilities(4, {"ffmpeg": ["h264"]}), 4)
RESULT = Result(
    output="o", size_bytes=1, sha256="x", container="mp4", codec="h264", width=1, height=1, fps=1.0, duration=1.0,
    frames=1, audio_codec=None, engine="ffmpeg", encode_seconds=1.0, cpu_seconds=1.0, speed=1.0,
)  # fmt: skip
UNFIT = JobRequest("480p30-h264", engine="gstreamer", queue="live")
FIT = JobRequest("480p30-h264", queue="batch")


def rules() -> Rules:
    return Rules(time.time(), RetryPolicy(), random.Random(1))


def make(request: JobRequest, count: int) -> list[NewJob]:
    return [accept(request, str(uuid_utils.uuid7())) for _ in range(count)]


async def fill(store: Store, count: int) -> None:
    """Half of them cannot run here and come first."""
    for request in (UNFIT, FIT):
        for start in range(0, count // 2, 10_000):
            jobs = make(request, min(10_000, count // 2 - start))
            await store.write(lambda tx, jobs=jobs: insert_jobs(tx, jobs, time.time()))


async def settle(store: Store, grants: list[Grant]) -> None:
    events = (Start(), Settle(RESULT), Publish())
    reports = [AttemptReport(grant.key, "n", event) for event in events for grant in grants]
    await store.write(lambda tx: report(tx, reports, rules()))


async def timed(times: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    seconds: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - started)
    return seconds


async def measure(name: str, count: int, times: int) -> dict[str, list[float]]:
    async with open_store(name) as store:
        await fill(store, count)
        claims: list[float] = []
        for _ in range(times):
            started = time.perf_counter()
            grants = await store.write(lambda tx: claim(tx, OFFER, 30.0, rules()))
            claims.append(time.perf_counter() - started)
            assert len(grants) == 4
            await settle(store, grants)
        middle = count // 2
        page = lambda: store.read(lambda tx: list_jobs(tx, JobFilter(), after=middle - 200, limit=100))  # noqa: E731
        return {
            "claim": claims,
            "page": await timed(times, page),
            "summary": await timed(times, lambda: store.read(read_counts)),
        }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    print(describe_machine())
    for name in options.stores:
        first: dict[str, float] = {}
        for size in options.sizes:
            for what, seconds in (await measure(name, size, options.times)).items():
                median = statistics.median(seconds)
                ratio = median / first.setdefault(what, median)
                print(f"{name:10} {size:>9,} jobs  {what:7} {describe(seconds)}, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
