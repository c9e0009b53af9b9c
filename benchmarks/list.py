"""What lists cost over HTTP when there are 1,000, 100,000 or 1,000,000 jobs, and how much memory the master needs.

Pages of 100 with and without filters and the summary; the ratio compares with the smallest size. Then all jobs are
streamed by `GET /jobs`, and three times at once while jobs are submitted. Client and master share this machine; the
master runs in a process of its own, whose resident memory (RSS) is sampled.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import uuid_utils
from sqlalchemy import text
from stores import NAMES, describe, describe_machine, new_database, store_at

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.job import PRIORITIES, QUEUES, NewJob
from reelmill.domain.request import JobRequest, accept
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.protocol import Store
from reelmill.store.submit import ensure_launch, insert_jobs

BATCH = 10_000
FEW = 20
"""Jobs of the rare kind, at the end."""

COMMON = [
    JobRequest(scenario, queue=queue, priority=priority, labels={"team": "a"})
    for scenario in ("480p30-h264", "720p30-h264", "1080p30-h264")
    for queue in QUEUES
    for priority in PRIORITIES
]
RARE = JobRequest("4K30-h265", labels={"team": "rare"})
LISTS = {
    "summary": "/jobs/summary",
    "page of 100": "/jobs?limit=100&cursor={middle}",
    "newest 100": "/jobs?limit=100&order=desc",
    "a rare scenario": "/jobs?limit=100&scenario=4K30-h265",
    "a rare status": "/jobs?limit=100&status=failed",
    "a common status": "/jobs?limit=100&status=completed",
    "three priorities": "/jobs?limit=100&priority=high,medium,low&order=desc",
    "two queues": "/jobs?limit=100&queue=live,batch&cursor={middle}",
    "a launch": "/jobs?limit=100&launch=rare",
    "status and scenario": "/jobs?limit=100&status=queued&scenario=4K30-h265,1080p30-h264",
    "a label, no index": "/jobs?limit=100&label=team:rare",
}
END = text("""
    UPDATE jobs SET status = 'completed', completed_at = created_at, started_at = created_at, attempt = 1, winner = 1,
        result = :result, progress = 100, ready = :no
    WHERE sequence_number <= :half
""")
FAIL = text("""
    UPDATE jobs SET status = 'failed', completed_at = created_at, attempt = 1, failure_reason = 'input_error',
        error = 'no such file', ready = :no
    WHERE sequence_number > :last AND sequence_number % 2 = 0
""")
COUNT = (
    text("DELETE FROM counts"),
    text("INSERT INTO counts SELECT status, queue, priority, scenario, count(*) FROM jobs GROUP BY 1, 2, 3, 4"),
)
RESULT = (
    '{"output":"outputs/a.mp4","size_bytes":1234567,"sha256":"' + "ab" * 32 + '","container":"mp4","codec":"h264",'
    '"width":1920,"height":1080,"fps":30.0,"duration":10.0,"frames":300,"audio_codec":null,"engine":"ffmpeg",'
    '"encode_seconds":4.2,"cpu_seconds":12.5,"speed":2.38}'
)  # fmt: skip


def make(requests: list[JobRequest], count: int) -> list[NewJob]:
    return [accept(request, str(uuid_utils.uuid7())) for request in itertools.islice(itertools.cycle(requests), count)]


async def fill(store: Store, count: int) -> None:
    """Half of the jobs are completed, the others wait, and the last few are of a kind of their own."""
    for start in range(0, count - FEW, BATCH):
        jobs = make(COMMON, min(BATCH, count - FEW - start))
        await store.write(lambda tx, jobs=jobs: insert_jobs(tx, jobs, time.time()))
    await store.write(lambda tx: ensure_launch(tx, "rare", None, time.time()))
    await store.write(lambda tx: insert_jobs(tx, make([RARE], FEW), time.time(), "rare"))
    await store.write(lambda tx: tx.execute(END, {"half": count // 2, "result": RESULT, "no": False}) and None)
    await store.write(lambda tx: tx.execute(FAIL, {"last": count - FEW, "no": False}) and None)
    await store.write(lambda tx: [tx.execute(statement) for statement in COUNT] and None)


def serve(place: str, line: Connection) -> None:
    """A master of its own, until the line is closed."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = store_at(place)
            await store.start()
            settings = Settings(port=0, data=Path(folder), media=Path(folder))
            master = Master(settings, store, MemoryBus(), SystemClock(), alone=False)
            await master.start()
            line.send(master.url)
            await asyncio.to_thread(line.recv)
            await master.stop()
            await store.stop()

    import uvloop

    uvloop.run(run())


@contextlib.contextmanager
def serving(place: str) -> Generator[tuple[str, psutil.Process], None, None]:
    """The address of a master on that database, and its process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(place, theirs))
    process.start()
    try:
        yield ours.recv(), psutil.Process(process.pid)
    finally:
        ours.send(None)
        process.join()


class Client:
    """One connection to the master."""

    def __init__(self, url: str) -> None:
        self._host, self._port = url.removeprefix("http://").split(":")

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", int(self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer, which must be a success with a length."""
        await self._send(method, path, body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        return await self._reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))

    async def stream(self, path: str) -> tuple[int, bytes]:
        """How many bytes a stream was, and the end of it."""
        await self._send("GET", path, b"")
        await self._reader.readuntil(b"\r\n\r\n")
        size, tail = 0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = await self._reader.read(1 << 18)
            assert piece, "the stream broke off"
            size += len(piece)
            tail = (tail + piece)[-100:]
        return size, tail

    async def _send(self, method: str, path: str, body: bytes) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        await self._writer.drain()


@contextlib.asynccontextmanager
async def watched(process: psutil.Process) -> AsyncGenerator[list[float], None]:
    """The process's memory in MB, every 20 ms."""
    samples = [process.memory_info().rss / 1e6]

    async def sample() -> None:
        while True:
            samples.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(sample())
    yield samples
    task.cancel()


class Farm(NamedTuple):
    """So many jobs, the address of the master that serves them, and its process."""

    jobs: int
    url: str
    process: psutil.Process


@contextlib.asynccontextmanager
async def farm_of(name: str, count: int) -> AsyncGenerator[Farm, None]:
    """A database with so many jobs, served by a master that did not fill it."""
    with new_database(name) as place:
        store = store_at(place)
        await store.start()
        await fill(store, count)
        await store.stop()
        with serving(place) as (url, process):
            yield Farm(count, url, process)


async def time_list(farms: list[Farm], what: str, path: str, times: int) -> list[list[float]]:
    """Seconds for each farm, which take turns: so the noise of the machine is that of all."""
    seconds: list[list[float]] = [[] for _ in farms]
    for _ in range(times if "no index" not in what else max(3, times // 20)):
        for farm, measured in zip(farms, seconds, strict=True):
            async with Client(farm.url) as client:  # a new one: the master ends those that wait for long
                started = time.perf_counter()
                await client.ask("GET", path.format(middle=farm.jobs // 2))
                measured.append(time.perf_counter() - started)
    return seconds


async def stream_all(url: str, process: psutil.Process, streams: int, *, submit: bool) -> str:
    """Every job by so many streams at once, with batches and single jobs meanwhile."""
    body = msgspec.json.encode({"jobs": [{"scenario": "480p30-h264"}] * BATCH})
    single = msgspec.json.encode({"scenario": "480p30-h264"})
    submitted = 0

    async def submit_on() -> None:
        nonlocal submitted
        async with Client(url) as client:
            for number in itertools.count():
                batch = number % 20 == 0 and number < 100
                await client.ask("POST", "/jobs/batch" if batch else "/jobs", body if batch else single)
                submitted += BATCH if batch else 1

    async def stream() -> tuple[int, bytes]:
        async with Client(url) as client:
            return await client.stream("/jobs")

    async with watched(process) as samples:
        started = time.perf_counter()
        submitting = asyncio.create_task(submit_on()) if submit else None
        ends = await asyncio.gather(*(stream() for _ in range(streams)))
        seconds = time.perf_counter() - started
        if submitting is not None:
            submitting.cancel()
    count = sum(int(tail.split(b'"count":')[1].split(b",")[0]) for _, tail in ends)
    size = sum(size for size, _ in ends) / 1e6
    await asyncio.sleep(1)
    after = process.memory_info().rss / 1e6
    return (
        f"{count:,} jobs in {seconds:.1f} s: {count / seconds:,.0f} jobs/s, {size / seconds:.0f} MB/s, "
        f"{submitted:,} submitted meanwhile; RSS {samples[0]:.0f} MB before, {max(samples):.0f} peak, {after:.0f} after"
    )


async def measure(name: str, sizes: list[int], times: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        farms = [await stack.enter_async_context(farm_of(name, size)) for size in sizes]
        for what, path in LISTS.items():
            measured = await time_list(farms, what, path, times)
            first = statistics.median(measured[0])
            for farm, seconds in zip(farms, measured, strict=True):
                ratio = statistics.median(seconds) / first
                print(f"{name:10} {farm.jobs:>9,} jobs  {what:20} {describe(seconds)}, ratio {ratio:.2f}", flush=True)
        for farm, (streams, submit) in itertools.product(farms, [(1, False), (3, True)]):
            said = await stream_all(farm.url, farm.process, streams, submit=submit)
            print(f"{name:10} {farm.jobs:>9,} jobs  {streams} at once: {said}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    print(describe_machine())
    for name in options.stores:
        await measure(name, options.sizes, options.times)


if __name__ == "__main__":
    asyncio.run(main())
