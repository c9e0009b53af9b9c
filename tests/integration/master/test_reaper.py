"""The reaper: a silent worker is noticed within its lease and one sweep (P4), but not right after a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import BEAT, GARBAGE, GOODBYE, Beat
from reelmill.clock import SystemClock
from reelmill.domain.attempt import AttemptKey
from reelmill.domain.retry import RetryPolicy
from reelmill.errors import StartupError, StoreUnavailable
from reelmill.master.farm import Farm
from reelmill.master.master import Master
from reelmill.master.metrics import Metrics
from reelmill.master.reaper import FORGET_NODE_SECONDS, Reaper
from reelmill.store.nodes import list_nodes
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import LATER, Farmhand
from tests.samples import NOW, new_job, new_jobs, node_info
from tests.served import MakeSettings
from tests.waiting import wait_until

NODE = node_info()


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_farm(store: SqliteStore, clock: HandClock, tmp_path: Path) -> Callable[[float], Farm]:
    """A farm with a lease of so many seconds."""

    def make(lease_seconds: float) -> Farm:
        return Farm(
            store,
            MemoryBus(),
            clock,
            RetryPolicy(),
            random.Random(1),
            lease_seconds,
            tmp_path,
            tmp_path,
            Metrics(),
        )

    return make


MakeFarm = Callable[[float], Farm]


async def test_after_a_restart_it_waits_one_lease(store: SqliteStore, make_farm: MakeFarm, clock: HandClock) -> None:
    """Workers could not renew while the master was away: their jobs are not taken from them at once."""
    hand = Farmhand(store)
    await hand.submit(new_job())
    key = await hand.run(NODE)
    clock.time = NOW + 10 * LATER
    reaper = Reaper(make_farm(0.3), workers_died_too=False)
    await reaper.start()

    assert 0 == await reaper.run_once()
    assert "running" == (await hand.job(key.job_id)).status
    assert 1 == await wait_until(reaper.run_once, lambda expired: expired > 0, seconds=5)
    assert "retrying" == (await hand.job(key.job_id)).status
    await reaper.stop()


async def test_when_the_workers_died_too_nothing_is_waited_for(
    store: SqliteStore, make_farm: MakeFarm, clock: HandClock
) -> None:
    """A farm in one process: every lease is void at the start."""
    hand = Farmhand(store)
    await hand.submit(*new_jobs(3))
    await hand.claim(NODE)
    farm = make_farm(3600.0)
    reaper = Reaper(farm, workers_died_too=True)
    await reaper.start()
    await reaper.stop()

    assert ["retrying"] * 3 == [job.status for job in await hand.jobs()]
    assert clock.time == NOW


async def test_more_leases_than_one_round_takes_all_run_out(
    store: SqliteStore, make_farm: MakeFarm, clock: HandClock
) -> None:
    """1,100 jobs of a node that died come back in one sweep, and are counted."""
    hand = Farmhand(store)
    await hand.submit(*new_jobs(1100))
    await hand.claim(node_info(units=2000))
    farm = make_farm(0.0)
    reaper = Reaper(farm, workers_died_too=False)
    clock.time = NOW + LATER

    assert 1100 == await reaper.run_once()
    assert 0 == await reaper.run_once()
    assert 1100 == farm.metrics.registry.get_sample_value("reelmill_leases_expired_total")


async def test_a_clock_that_jumps_kills_no_worker(store: SqliteStore, make_farm: MakeFarm, clock: HandClock) -> None:
    """The machine slept, or NTP set its clock: every lease is over at once, and no worker is to blame for it."""
    hand = Farmhand(store)
    await hand.submit(new_job())
    key = await hand.run(NODE)
    reaper = Reaper(make_farm(60.0), workers_died_too=False)
    await reaper.run_once()
    clock.time = NOW + 10 * LATER

    assert 0 == await reaper.run_once()
    assert "running" == (await hand.job(key.job_id)).status


async def test_a_clock_that_is_set_back_delays_nothing(
    store: SqliteStore, make_farm: MakeFarm, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease never ends later than one that begins now (P4), also when the store refused to change it at first."""

    async def refuse(_work: object, **_how: object) -> None:
        raise StoreUnavailable("the disk is full")

    hand = Farmhand(store)
    await hand.submit(new_job())
    key = await hand.run(NODE)
    farm = make_farm(1.0)
    reaper = Reaper(farm, workers_died_too=False)
    await reaper.run_once()
    clock.time = NOW - 3600

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", refuse)
        with pytest.raises(StoreUnavailable):
            await reaper.run_once()
    await reaper.run_once()
    lease_until = (await hand.job(key.job_id)).lease_until
    assert lease_until is not None
    assert lease_until <= clock.time + farm.lease_seconds


async def test_a_clock_that_was_set_back_while_no_master_ran_delays_nothing(
    store: SqliteStore, make_farm: MakeFarm, clock: HandClock
) -> None:
    """The first look of a master that starts sees times of a future that will not come soon."""
    hand = Farmhand(store)
    await hand.submit(new_job())
    await hand.beat(NODE)
    key = await hand.run(NODE)
    clock.time = NOW - 3600
    farm = make_farm(1.0)

    await Reaper(farm, workers_died_too=False).run_once()
    lease_until = (await hand.job(key.job_id)).lease_until
    assert lease_until == clock.time + farm.lease_seconds
    assert [clock.time] == [node.last_seen for node in await store.read(lambda tx: list_nodes(tx, clock.time))]


async def test_a_node_that_is_long_gone_is_forgotten(store: SqliteStore, make_farm: MakeFarm, clock: HandClock) -> None:
    """A day after its last word, so that restarts do not fill the list for ever."""
    await Farmhand(store).beat(NODE)
    reaper = Reaper(make_farm(0.0), workers_died_too=False)
    for later, left in ((FORGET_NODE_SECONDS - 1, 1), (FORGET_NODE_SECONDS + 1, 0)):
        clock.time = NOW + later
        await reaper.run_once()
        assert left == len(await store.read(lambda tx: list_nodes(tx, clock.time)))


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_workers_words_are_answered_after_the_commit(store: SqliteStore, make_settings: MakeSettings) -> None:
    """Beats, goodbyes and garbage over the bus, as a worker says them."""
    bus = MemoryBus()
    master = Master(make_settings(), store, bus, SystemClock(), alone=False)
    await master.start()
    hand = Farmhand(store)
    await hand.submit(*new_jobs(2))
    one, other = [grant.key for grant in await hand.claim(NODE)]
    unknown = AttemptKey("unknown", 1)

    answer = await BEAT.ask(bus, Beat(NODE, []), 5)
    assert answer is not None
    assert 30.0 == answer.lease_seconds
    assert [] == await GARBAGE.ask(bus, [unknown], 5)
    await GOODBYE.ask(bus, NODE.id, 5)
    assert ["queued", "queued"] == [(await hand.job(key.job_id)).status for key in (one, other)]
    await master.stop()
    assert await BEAT.ask(bus, Beat(NODE, []), 0.2) is None


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_a_taken_port_is_a_sentence_and_leaves_nothing_running(
    store: SqliteStore, make_settings: MakeSettings
) -> None:
    """Which port, and what to do; the other services are stopped again."""
    first = Master(make_settings(), store, MemoryBus(), SystemClock(), alone=False)
    await first.start()
    port = int(first.url.rpartition(":")[2])
    before = len(asyncio.all_tasks())
    second = Master(make_settings(port=port), store, MemoryBus(), SystemClock(), alone=False)
    with pytest.raises(StartupError, match=f"port {port} is in use; .*--port"):
        await second.start()

    assert before == len(asyncio.all_tasks())
    await first.stop()
    await first.stop()
