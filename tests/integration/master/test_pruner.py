"""The pruners: old jobs go in small steps that let everybody else through, and long histories are cut."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.domain.retry import RetryPolicy
from reelmill.master import pruner
from reelmill.master.farm import Farm
from reelmill.master.master import Master
from reelmill.master.metrics import Metrics
from reelmill.master.pruner import Pruner, Trimmer
from reelmill.store.counts import read_counts
from reelmill.store.retention import KEPT_TRANSITIONS
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import NOW, new_job, new_jobs
from tests.served import MakeSettings
from tests.waiting import wait_until

MONTH = 30 * 86_400.0


class LaterClock:
    """The time at which jobs that ended at NOW are a month old, and a bit."""

    def now(self) -> float:
        return NOW + MONTH + 1


@pytest.fixture
def farm(store: SqliteStore, tmp_path: Path) -> Farm:
    """A farm a month later."""
    return Farm(store, MemoryBus(), LaterClock(), RetryPolicy(), random.Random(1), 30.0, tmp_path, tmp_path, Metrics())


async def cancel_all(hand: Farmhand, after: float = 0.0) -> None:
    for job in await hand.jobs():
        await hand.act(job.id, "cancel", after=after)


async def test_old_jobs_are_forgotten_in_small_steps_and_others_stay(farm: Farm, store: SqliteStore) -> None:
    """All that are old in one round, in several commits; what is a little younger stays."""
    hand = Farmhand(store)
    await hand.submit(*new_jobs(600))
    await cancel_all(hand)
    [young, waiting] = await hand.submit(*new_jobs(2))
    await hand.act(young.id, "cancel", after=2.0)

    assert 600 == await Pruner(farm, MONTH).run_once()
    assert [young.id, waiting.id] == [job.id for job in await hand.jobs()]
    assert {"canceled": 1, "queued": 1} == {key.status: n for key, n in (await store.read(read_counts)).items()}
    assert b"reelmill_jobs_pruned_total 600.0" in farm.metrics.render({}, [], None)
    assert 0 == await Pruner(farm, MONTH).run_once()


async def test_without_a_retention_everything_stays(farm: Farm, store: SqliteStore) -> None:
    """`--retention forever`."""
    hand = Farmhand(store)
    await hand.submit(new_job())
    await cancel_all(hand)
    assert 0 == await Pruner(farm, None).run_once()
    assert 1 == len(await hand.jobs())


@pytest.mark.parametrize("store", ["file"], indirect=True)
async def test_others_are_let_through_between_the_steps(farm: Farm, store: SqliteStore) -> None:
    """Whoever writes while a thousand jobs are pruned waits for one step at most."""
    hand = Farmhand(store)
    await hand.submit(*new_jobs(1000))
    await cancel_all(hand)
    steps: list[int] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "completed_at <" in statement:
            steps.append(1)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        pruning = asyncio.ensure_future(Pruner(farm, MONTH).run_once())
        waited: list[int] = []
        while not pruning.done():
            before = len(steps)
            await hand.submit(new_job())
            waited.append(len(steps) - before)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert 1000 == await pruning
    assert 5 == len(steps)
    assert max(waited) <= 1
    assert len(waited) >= len(steps)


async def test_long_histories_are_cut(farm: Farm, store: SqliteStore) -> None:
    """Those of every job that has one, wherever its number is; a second round finds nothing."""
    hand = Farmhand(store)
    jobs = await hand.submit(*new_jobs(3))
    for job in (jobs[0], jobs[2]):
        for _ in range(KEPT_TRANSITIONS // 2 + 5):
            await hand.act(job.id, "pause")
            await hand.act(job.id, "resume")

    assert 20 == await Trimmer(farm).run_once()
    assert 0 == await Trimmer(farm).run_once()
    assert [KEPT_TRANSITIONS + 1, 1, KEPT_TRANSITIONS + 1] == [len(await hand.history(job.id)) for job in jobs]


@pytest.mark.parametrize("store", ["file"], indirect=True)
async def test_numbers_that_no_job_has_are_not_walked_over(farm: Farm, store: SqliteStore) -> None:
    """Pruning leaves gaps without end, since numbers never begin again: a look takes a few reads all the same."""
    hand = Farmhand(store)
    await hand.submit(new_job())
    skip = text("UPDATE sqlite_sequence SET seq = 4000000000 WHERE name = 'jobs'")
    await store.write(lambda tx: tx.execute(skip).rowcount)
    [job] = await hand.submit(new_job())
    for _ in range(KEPT_TRANSITIONS // 2 + 1):
        await hand.act(job.id, "pause")
        await hand.act(job.id, "resume")

    async with asyncio.timeout(20):  # in steps of 5,000 it would take the better part of an hour
        assert 2 == await Trimmer(farm).run_once()
    assert 4_000_000_001 == job.sequence_number


async def test_a_master_prunes_by_itself(
    make_settings: MakeSettings, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its settings say, in the background; it stops in the middle of it without harm."""
    monkeypatch.setattr(pruner, "PRUNE_SECONDS", 0.02)
    hand = Farmhand(store)
    await hand.submit(*new_jobs(300))
    await cancel_all(hand)
    [waiting] = await hand.submit(new_job())
    master = Master(make_settings(retention="1h"), store, MemoryBus(), SystemClock(), alone=True)
    await master.start()
    left = await wait_until(hand.jobs, lambda jobs: len(jobs) == 1)
    await master.stop()
    assert [waiting.id] == [job.id for job in left]
