"""Pruning finds its rows by indexes on both databases, and two masters that prune at once do not disturb each other."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from reelmill.store.counts import read_counts
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store, Tx
from reelmill.store.retention import find_long, next_number, prune_ended, trim
from reelmill.store.schema import launches
from tests.contract.conftest import STORES, new_database
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, NOW, failed, new_job, new_jobs, node_info
from tests.waiting import wait_until


def prune(tx: Tx) -> int:
    """One step of the pruner."""
    return prune_ended(tx, NOW + 1000, 5)


WORKS: dict[str, Callable[[Tx], object]] = {
    "prune": prune,
    "next number": lambda tx: next_number(tx, 1),
    "find long": lambda tx: find_long(tx, 1, 5),
    "trim": lambda tx: trim(tx, 1),
}


@pytest.fixture(params=["sqlite-file", "postgresql"])
async def farm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Farmhand]:
    """A farm with five ended jobs, all there are of a launch, and five that wait."""
    store = STORES[request.param](tmp_path)
    await store.start()
    farm = Farmhand(store)
    for job in await farm.submit(*new_jobs(5), launch="l"):
        await farm.act(job.id, "cancel")
    await farm.submit(*new_jobs(5))
    yield farm
    await store.stop()


def plans_of(tx: Tx, work: Callable[[Tx], object]) -> list[str]:
    """A step for each table that the statements of ``work`` look at, with how it is looked at."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if re.match("SELECT|UPDATE|DELETE", statement):
            ran.append((statement, parameters))

    event.listen(tx, "before_cursor_execute", note)
    work(tx)
    event.remove(tx, "before_cursor_execute", note)
    if tx.dialect.name == "sqlite":
        explained = [tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values) for one, values in ran]
        return [row[3] for rows in explained for row in rows]
    tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # few rows: only what has no index is read whole now
    explained = [tx.exec_driver_sql(f"EXPLAIN {one}", values) for one, values in ran]
    return [row[0] for rows in explained for row in rows]


@pytest.mark.parametrize("what", WORKS)
async def test_pruning_reads_no_table_whole(farm: Farmhand, what: str) -> None:
    """Each of its statements searches jobs, history, logs and launches by an index or a key."""
    plans = await farm.store.write(lambda tx: plans_of(tx, WORKS[what]))
    whole = [
        step
        for step in plans
        if re.search(r"\b(jobs|history|logs|launches)\b", step)
        and ((step.startswith("SCAN") and " USING " not in step) or "Seq Scan" in step)
    ]
    assert plans
    assert [] == whole


async def test_old_jobs_are_found_by_the_index_of_their_ends(farm: Farmhand) -> None:
    """However many jobs there are that have not ended, or not so long ago; and empty launches by that of launches."""
    plans = await farm.store.write(lambda tx: plans_of(tx, prune))
    assert any("jobs_ended" in step for step in plans)
    assert any("jobs_by_launch" in step for step in plans)


@pytest.fixture
async def two_masters() -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two stores over one database."""
    url = new_database()
    stores = PostgresStore(url), PostgresStore(url)
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


async def count_launches(store: Store) -> int:
    return await store.read(lambda tx: tx.execute(select(func.count()).select_from(launches)).scalar_one())


async def test_two_masters_prune_together(two_masters: tuple[PostgresStore, PostgresStore]) -> None:
    """Each takes what the other has not locked; each job is counted once, and the counts are right."""
    farm = Farmhand(two_masters[0])
    for job in await farm.submit(*new_jobs(300), launch="l"):
        await farm.act(job.id, "cancel")
    left = await farm.submit(*new_jobs(2))

    async def prune_all(number: int) -> int:
        pruned = 0
        while some := await two_masters[number % 2].write(lambda tx: prune_ended(tx, NOW + 1000, 10)):
            pruned += some
        return pruned

    assert 300 == sum(await asyncio.gather(*(prune_all(number) for number in range(8))))
    assert left == await farm.jobs()
    assert {"queued": 2} == {key.status: n for key, n in (await two_masters[1].read(read_counts)).items()}
    assert 0 == await count_launches(two_masters[1])


@pytest.mark.parametrize("second", ["prunes the other half", "adds a job"])
async def test_a_launch_that_two_masters_touch_is_judged_rightly(
    two_masters: tuple[PostgresStore, PostgresStore], second: str
) -> None:
    """While one prunes the other does not; a job that is added meanwhile is there, and so is its launch."""
    first_store, second_store = two_masters
    farm = Farmhand(first_store)
    [job] = await farm.submit(new_job(), launch="l")
    await farm.act(job.id, "cancel")
    if second.startswith("prunes"):  # another kind of job with another end: they share no row of counts
        await farm.submit(new_job("720p30-h264"), launch="l", after=1.0)
        key = await farm.run(node_info(), after=1.0)
        assert [True] == await farm.report(failed(key, node_info(), BAD_INPUT), after=1.0)
    pruned, let_go = threading.Event(), threading.Event()

    def prune_and_wait(tx: Tx) -> int:
        done = prune_ended(tx, NOW + 1000, 1)
        pruned.set()
        assert let_go.wait(10)
        return done

    def is_stuck(tx: Tx) -> bool:
        return bool(tx.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())

    one = asyncio.ensure_future(first_store.write(prune_and_wait))
    await asyncio.to_thread(pruned.wait, 10)
    if second.startswith("prunes"):
        assert 0 == await second_store.write(prune)  # it is not its turn
        let_go.set()
        assert 1 == await one
        assert 1 == await second_store.write(prune)
    else:
        two = asyncio.ensure_future(Farmhand(second_store).submit(new_job(), launch="l"))
        await wait_until(lambda: first_store.read(is_stuck), bool)
        let_go.set()
        assert 1 == await one
        await two
    left = await farm.jobs()
    assert len(left) == await count_launches(first_store)
    assert ["l"] * len(left) == [job.launch_id for job in left]
    assert second.startswith("adds") == bool(left)
