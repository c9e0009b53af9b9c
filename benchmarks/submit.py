"""How many jobs a second are durably accepted over HTTP: in bulk, and one by one from many connections.

Client and master share this machine; the master runs in a process of its own. The raw baseline inserts such rows with
the sqlite3 module, four indexes and synchronous=FULL, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sqlite3
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import msgspec
from stores import NAMES, describe, describe_machine, open_store

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.master.master import Master
from reelmill.settings import Settings

JOB = {"scenario": "480p30-h264", "engine": "gstreamer", "parameters": {"duration": 60, "bitrate": "2M"}}


def serve(name: str, line: Connection) -> None:
    """A master of its own, until the line is closed."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_store(name) as store:
                settings = Settings(port=0, data=Path(folder), media=Path(folder))
                master = Master(settings, store, MemoryBus(), SystemClock(), alone=True)
                await master.start()
                line.send(master.url)
                await asyncio.to_thread(line.recv)
                await master.stop()

    import uvloop

    uvloop.run(run())


async def in_bulk(url: str, count: int, batch: int) -> float:
    """Jobs per second, two batches in flight."""
    body = msgspec.json.encode({"jobs": [JOB] * batch})
    batches = iter(range(count // batch))
    async with httpx2.AsyncClient(base_url=url, timeout=120) as client:

        async def send() -> None:
            for _ in batches:
                (await client.post("/jobs/batch", content=body)).raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(send(), send())
        return count / (time.perf_counter() - started)


async def one_by_one(url: str, count: int, connections: int) -> tuple[float, list[float]]:
    """Jobs per second, and the latency of each request."""
    body = msgspec.json.encode(JOB)
    host, port = url.removeprefix("http://").split(":")
    request = (f"POST /jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    left = iter(range(count))
    seconds: list[float] = []

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        for _ in left:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201"), head
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(connections)))
    return count / (time.perf_counter() - started), seconds


def raw_sqlite(count: int) -> float:
    """Rows per second of a bare executemany of such rows, four indexes, synchronous=FULL, 10,000 a commit."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        columns = [f"c{number}" for number in range(22)]
        database.execute(f"CREATE TABLE jobs (n INTEGER PRIMARY KEY AUTOINCREMENT, {', '.join(columns)})")
        for number in range(4):
            database.execute(f"CREATE INDEX i{number} ON jobs (c{number}, n)")
        row = [f"01a209c0-a6f3-7431-a9a9-7e8276b0{number:04}" for number in range(22)]
        insert = f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join('?' * 22)})"
        started = time.perf_counter()
        for _ in range(count // 10_000):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(insert, [row] * 10_000)
            database.execute("COMMIT")
        rate = count / (time.perf_counter() - started)
        database.close()
        return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bulk", type=int, default=200_000, help="jobs in bulk")
    parser.add_argument("--single", type=int, default=20_000, help="jobs one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    print(describe_machine())
    for _ in range(options.rounds):
        print(f"raw SQLite insert   {raw_sqlite(options.bulk):>9,.0f} rows/s", flush=True)
        for name in options.stores:
            ours, theirs = multiprocessing.Pipe()
            master = multiprocessing.get_context("spawn").Process(target=serve, args=(name, theirs))
            master.start()
            url = ours.recv()
            rate = asyncio.run(in_bulk(url, options.bulk, 10_000))
            print(f"{name:10} in bulk  {rate:>9,.0f} jobs/s", flush=True)
            rate, seconds = asyncio.run(one_by_one(url, options.single, 64))
            seconds.sort()
            p99 = seconds[int(len(seconds) * 0.99)] * 1000
            print(f"{name:10} single   {rate:>9,.0f} jobs/s at 64 connections, {describe(seconds)}, p99 {p99:.1f} ms")
            ours.send(None)
            master.join()


if __name__ == "__main__":
    main()
