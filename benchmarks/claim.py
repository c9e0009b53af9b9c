"""What a claim, a page and the summary cost when 1,000, 100,000 or 1,000,000 jobs wait.

All stand before the jobs that the node can run, and none of them can run there: they need GStreamer, are paused, or
wait for their retry. Each size is measured on a database of its own; the ratio compares with the smallest. The raw
baseline takes four rows of a bare table of as many, with SKIP LOCKED on PostgreSQL, in the same run.

Pausing a million jobs at once leaves a million dead entries in PostgreSQL's index of ready jobs, which every claim
walks past until the table's autovacuum comes round, within a minute: claims are timed at once and after it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
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
from reelmill.store.protocol import Store, Tx
from reelmill.store.submit import insert_jobs
from reelmill.store.transition import Rules

OFFER = Offer("n", "n", Capabilities(4, {"ffmpeg": ["h264"]}), 4)
RESULT = Result(
    output="o", size_bytes=1, sha256="x", container="mp4", codec="h264", width=1, height=1, fps=1.0, duration=1.0,
    frames=1, audio_codec=None, engine="ffmpeg", encode_seconds=1.0, cpu_seconds=1.0, speed=1.0,
)  # fmt: skip
AHEAD = {
    "gstreamer": None,
    "paused": "UPDATE jobs SET status = 'paused', ready = FALSE",
    "retrying": "UPDATE jobs SET status = 'retrying', ready = FALSE, eligible_at = 4e9, due_at = 4e9",
}
"""What the jobs ahead wait for, and the statement that makes them so."""
FIT = JobRequest("480p30-h264", queue="batch")
BATCH = 10_000
DEAD_ROWS = 30_000
"""Beyond these the table's settings call for a vacuum, at a million rows and one per cent."""
RAW_TAKE = (
    "UPDATE raw SET ready = FALSE WHERE id IN (SELECT id FROM raw WHERE ready ORDER BY id LIMIT 4{lock}) RETURNING id"
)


def rules() -> Rules:
    return Rules(time.time(), RetryPolicy(), random.Random(1))


def make(request: JobRequest, count: int) -> list[NewJob]:
    return [accept(request, str(uuid_utils.uuid7())) for _ in range(count)]


async def fill(store: Store, ahead: str, count: int, fit: int) -> None:
    """``count`` jobs that cannot run here, and behind them ``fit`` that can; and a bare table of as many rows."""
    unfit = JobRequest("480p30-h264", engine="gstreamer" if ahead == "gstreamer" else "auto", queue="live")
    for start in range(0, count, BATCH):
        jobs = make(unfit, min(BATCH, count - start))
        await store.write(lambda tx, jobs=jobs: insert_jobs(tx, jobs, time.time()) and None)
    await store.write(lambda tx: make_so(tx, AHEAD[ahead]))
    jobs = make(FIT, fit)
    await store.write(lambda tx: insert_jobs(tx, jobs, time.time()) and None)
    await store.write(lambda tx: make_raw(tx, count))


def make_so(tx: Tx, statement: str | None) -> None:
    if statement is not None:
        tx.exec_driver_sql(statement)
        status = "paused" if "paused" in statement else "retrying"
        tx.exec_driver_sql(f"UPDATE counts SET status = '{status}'")


def make_raw(tx: Tx, count: int) -> None:
    tx.exec_driver_sql("CREATE TABLE raw (id integer PRIMARY KEY, ready boolean NOT NULL)")
    tx.exec_driver_sql("CREATE INDEX raw_ready ON raw (id) WHERE ready")
    tx.exec_driver_sql("INSERT INTO raw SELECT sequence_number, TRUE FROM jobs")


async def take_raw(store: Store) -> None:
    await store.write(lambda tx: tx.exec_driver_sql(RAW_TAKE.format(lock=lock_of(tx))).all() and None)


def lock_of(tx: Tx) -> str:
    return " FOR UPDATE SKIP LOCKED" if tx.dialect.name == "postgresql" else ""


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


async def claim_some(store: Store, times: int) -> list[float]:
    """Seconds of each claim of four jobs, which are settled before the next."""
    seconds: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        grants = await store.write(lambda tx: claim(tx, OFFER, 30.0, rules()))
        seconds.append(time.perf_counter() - started)
        assert len(grants) == 4
        await settle(store, grants)
    return seconds


async def dead_rows(store: Store) -> int:
    """How many dead rows PostgreSQL knows of; SQLite leaves none."""
    statement = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'jobs'"

    def read(tx: Tx) -> int:
        return tx.exec_driver_sql(statement).scalar_one() if tx.dialect.name == "postgresql" else 0

    return await store.read(read)


async def autovacuum(store: Store) -> None:
    """Wait until it came round, if there is anything for it to do."""
    started = time.monotonic()
    while await dead_rows(store) > DEAD_ROWS:
        if time.monotonic() - started > 180.0:
            raise SystemExit("autovacuum did not come round in three minutes")
        await asyncio.sleep(1.0)


async def measure(name: str, ahead: str, count: int, times: int) -> dict[str, list[float]]:
    async with open_store(name) as store:
        await fill(store, ahead, count, 8 * times)
        at_once = {"at once": await claim_some(store, times)} if await dead_rows(store) > DEAD_ROWS else {}
        await autovacuum(store)
        claims = await claim_some(store, times)
        middle = count // 2
        page = lambda: store.read(lambda tx: list_jobs(tx, JobFilter(), after=middle, limit=100))  # noqa: E731
        return at_once | {
            "claim": claims,
            "raw": await timed(times, lambda: take_raw(store)),
            "page": await timed(times, page),
            "summary": await timed(times, lambda: store.read(read_counts)),
        }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--stores", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--ahead", nargs="+", choices=list(AHEAD), default=list(AHEAD), help="why the others wait")
    options = parser.parse_args()
    print(describe_machine())
    for name, ahead in itertools.product(options.stores, options.ahead):
        first: dict[str, float] = {}
        for size in options.sizes:
            for what, seconds in (await measure(name, ahead, size, options.times)).items():
                median = statistics.median(seconds)
                ratio = median / first.setdefault("claim" if what == "at once" else what, median)
                place = f"{name:10} {size:>9,} {ahead:9} ahead"
                print(f"{place}  {what:7} {describe(seconds)}, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
