"""How many jobs a second are durably accepted over HTTP: in bulk, and one by one from many connections.

Client and master share this machine; the master runs in a process of its own. The raw baselines put the very same rows
into the very same tables, in the same run: `executemany` with synchronous=FULL on SQLite, COPY on PostgreSQL, 10,000 a
commit. That leaves out all that makes them jobs: HTTP, JSON, checks, ids, counts, answers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import msgspec
import psycopg
import uuid_utils
import uvloop
from sqlalchemy import create_engine, insert
from stores import NAMES, describe, describe_machine, new_database, open_store

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.request import JobRequest, accept
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.bulk import Row
from reelmill.store.rows import NEW_ROW_COLUMNS, new_row
from reelmill.store.schema import lanes, metadata

BATCH = 10_000
NEEDS = {"engine": "gstreamer", "codec": "h264", "cost": 1, "tenant": "default", "node_labels": "{}"}
JOB = {"scenario": "480p30-h264", "engine": "gstreamer", "parameters": {"duration": 60, "bitrate": "2M"}}


def serve(name: str, line: Connection) -> None:
    """A master of its own, until the line is closed."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_store(name) as store:
                settings = Settings(port=0, data=Path(folder), media=Path(folder))
                master = Master(settings, store, MemoryBus(), SystemClock(), alone=True)
                await master.start()
                gc.freeze()  # as `reelmill up` does
                line.send(master.url)
                await asyncio.to_thread(line.recv)
                await master.stop()

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


def rows(count: int) -> list[list[Row]]:
    """The rows of such jobs, as the store would write them, in batches of 10,000."""
    request = msgspec.convert(JOB, JobRequest)
    jobs = [accept(request, str(uuid_utils.uuid7())) for _ in range(count)]
    made = [new_row(job, number, None, 1, time.time()) for number, job in enumerate(jobs, 1)]
    return [made[start : start + BATCH] for start in range(0, count, BATCH)]


def make_tables(url: str) -> None:
    """The tables, indexes and checks of a farm, and a lane."""
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(lanes), {"id": 1, **NEEDS})
    engine.dispose()


def raw_sqlite(batches: list[list[Row]]) -> float:
    """Rows per second of a bare executemany."""
    with tempfile.TemporaryDirectory() as folder:
        make_tables(f"sqlite:///{folder}/raw.db")
        database = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            database.execute(f"PRAGMA {pragma}")
        names = ", ".join(NEW_ROW_COLUMNS)
        statement = f"INSERT INTO jobs ({names}) VALUES ({', '.join('?' * len(NEW_ROW_COLUMNS))})"
        started = time.perf_counter()
        for batch in batches:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(statement, batch)
            database.execute("COMMIT")
        rate = sum(map(len, batches)) / (time.perf_counter() - started)
        database.close()
        return rate


def raw_postgresql(batches: list[list[Row]]) -> float:
    """Rows per second of a bare COPY."""
    with new_database("postgresql") as url:
        make_tables(url.replace("postgresql://", "postgresql+psycopg://"))
        with psycopg.connect(url, autocommit=True) as database:
            started = time.perf_counter()
            for batch in batches:
                with database.cursor().copy(f"COPY jobs ({', '.join(NEW_ROW_COLUMNS)}) FROM STDIN".encode()) as copy:
                    for row in batch:
                        copy.write_row(row)
            return sum(map(len, batches)) / (time.perf_counter() - started)


RAW = {"sqlite": raw_sqlite, "postgresql": raw_postgresql}


def measure(name: str, batches: list[list[Row]], bulk: int, single: int) -> tuple[float, float]:
    """Jobs per second in bulk and one by one, printed."""
    raw = RAW[name](batches)
    ours, theirs = multiprocessing.Pipe()
    master = multiprocessing.get_context("spawn").Process(target=serve, args=(name, theirs))
    master.start()
    url = ours.recv()
    asyncio.run(in_bulk(url, BATCH, BATCH))  # the first use of everything
    rate = asyncio.run(in_bulk(url, bulk, BATCH))
    print(f"{name:10} in bulk {rate:>7,.0f} jobs/s, {rate / raw:.2f} of a raw insert ({raw:,.0f} rows/s)", flush=True)
    each, seconds = asyncio.run(one_by_one(url, single, 64))
    p99 = sorted(seconds)[int(len(seconds) * 0.99)] * 1000
    print(
        f"{name:10} single  {each:>7,.0f} jobs/s at 64 connections, {describe(seconds)}, p99 {p99:.1f} ms", flush=True
    )
    ours.send(None)
    master.join()
    return rate, each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bulk", type=int, default=200_000, help="jobs in bulk")
    parser.add_argument("--single", type=int, default=20_000, help="jobs one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    print(describe_machine())
    batches = rows(options.bulk)
    for name in options.stores:
        rates = [measure(name, batches, options.bulk, options.single) for _ in range(options.rounds)]
        for what, values in zip(("in bulk", "single"), zip(*rates, strict=True), strict=True):
            spread = f"({min(values):,.0f} to {max(values):,.0f})"
            print(f"{name:10} {what:7} median {statistics.median(values):,.0f} jobs/s {spread}", flush=True)


if __name__ == "__main__":
    main()
