"""How many jobs a second go through the whole farm, from queued to completed, when encoding them takes no time.

Master, bus and worker are the real ones in one process, as in `reelmill up`, with leases, fences and history on. Only
the attempt is not: it reports start, result and publication, and touches no process and no file. The raw baseline
takes and ends as many rows of a bare table, in batches of the same size and as durably, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import uuid_utils
import uvloop
from stores import NAMES, describe_machine, new_database, open_store

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.capability import Capabilities
from reelmill.domain.job import Result
from reelmill.domain.lifecycle import Publish, Settle, Start
from reelmill.domain.request import JobRequest, accept
from reelmill.master.master import Master
from reelmill.settings import Settings
from reelmill.store.counts import read_counts
from reelmill.store.protocol import Store, Tx
from reelmill.store.submit import insert_jobs
from reelmill.worker.agent import Worker
from reelmill.worker.attempt import Attempt
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import Ffmpeg, Inventory

RESULT = Result(
    output="o", size_bytes=1, sha256="x", container="mp4", codec="h264", width=1, height=1, fps=1.0, duration=1.0,
    frames=1, audio_codec=None, engine="ffmpeg", encode_seconds=1.0, cpu_seconds=1.0, speed=1.0,
)  # fmt: skip
MIX = [
    JobRequest(scenario, queue=queue, priority=priority)
    for scenario in ("480p30-h264", "480p30-h264", "720p30-h264")
    for queue in ("live", "default", "batch")
    for priority in ("high", "medium", "low")
]


class NullAttempt(Attempt):
    """Says what an attempt says, and does nothing."""

    async def run(self) -> None:
        self._send(Start())
        self.free_room()
        if await self._conclude(Settle(RESULT)):
            await self._conclude(Publish())


async def submit(store: Store, count: int) -> None:
    jobs = [accept(MIX[number % len(MIX)], str(uuid_utils.uuid7())) for number in range(count)]
    for start in range(0, count, 1_000):
        await store.write(lambda tx, some=jobs[start : start + 1_000]: insert_jobs(tx, some, time.time()) and None)


def left(tx: Tx) -> int:
    return sum(count for key, count in read_counts(tx).items() if key.status != "completed")


def histories(tx: Tx) -> int:
    return tx.exec_driver_sql("SELECT count(*) FROM history").scalar_one()


async def drain(name: str, count: int, units: int) -> float:
    """Jobs per second through one farm."""
    inventory = Inventory(Capabilities(units, {"ffmpeg": ["h264"]}), Ffmpeg(Path(sys.executable), "none"), {}, [])
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(name) as store:
            await submit(store, count)
            settings = Settings(port=0, data=Path(folder), media=Path(folder))
            bus = MemoryBus()
            master = Master(settings, store, bus, SystemClock(), alone=True)
            worker = Worker(bus, inventory, SharedFolder(Path(folder)), name="null", make_attempt=NullAttempt)
            await master.start()
            gc.collect()
            gc.freeze()  # as `reelmill up` does
            started = time.perf_counter()
            await worker.start()
            while await store.read(left):
                await asyncio.sleep(0.02)
            rate = count / (time.perf_counter() - started)
            steps = await store.read(histories)
            assert steps == 4 * count, f"{steps} steps of {count} jobs: some ran twice, or left no history"
            await worker.stop()
            await master.stop()
            return rate


def raw_sqlite(count: int, batch: int) -> float:
    """Rows per second taken and ended in two commits a batch."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, status TEXT NOT NULL)")
        database.execute("CREATE INDEX jobs_by_status ON jobs (status, id)")
        database.executemany("INSERT INTO jobs VALUES (?, 'queued')", ((number,) for number in range(count)))
        started = time.perf_counter()
        take = (
            "UPDATE jobs SET status = 'running' WHERE id IN "
            "(SELECT id FROM jobs WHERE status = 'queued' ORDER BY id LIMIT ?) RETURNING id"
        )
        while taken := database.execute(take, (batch,)).fetchall():
            database.execute("BEGIN IMMEDIATE")
            database.executemany("UPDATE jobs SET status = 'completed' WHERE id = ? AND status = 'running'", taken)
            database.execute("COMMIT")
        rate = count / (time.perf_counter() - started)
        database.close()
        return rate


def raw_postgresql(count: int, batch: int) -> float:
    """The same with SKIP LOCKED."""
    with new_database("postgresql") as url, psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE TABLE jobs (id bigint PRIMARY KEY, status text NOT NULL)")
        database.execute("CREATE INDEX jobs_by_status ON jobs (status, id)")
        database.execute("INSERT INTO jobs SELECT n, 'queued' FROM generate_series(1, %s) n", (count,))
        take = (
            "UPDATE jobs SET status = 'running' WHERE id IN (SELECT id FROM jobs WHERE status = 'queued' "
            "ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id"
        )
        started = time.perf_counter()
        while taken := database.execute(take, (batch,)).fetchall():
            ids = [row[0] for row in taken]
            database.execute("UPDATE jobs SET status = 'completed' WHERE id = ANY(%s) AND status = 'running'", (ids,))
        return count / (time.perf_counter() - started)


RAW = {"sqlite": raw_sqlite, "postgresql": raw_postgresql}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=64, help="CPU units that the node claims to have")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    print(describe_machine())
    for name in options.stores:
        rates: list[float] = []
        for _ in range(options.rounds):
            raw = RAW[name](options.count, options.units)
            rates.append(uvloop.run(drain(name, options.count, options.units)))
            print(
                f"{name:10} {rates[-1]:>7,.0f} jobs/s, {rates[-1] / raw:.2f} of a raw loop ({raw:,.0f}/s)", flush=True
            )
        print(f"{name:10} median {statistics.median(rates):,.0f} jobs/s ({min(rates):,.0f} to {max(rates):,.0f})")


if __name__ == "__main__":
    main()
