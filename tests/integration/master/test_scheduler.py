"""The scheduler over the bus: a question stays open until there is something to give, and no grant is lost."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import CLAIM, REPORT, ROOM, Claim, Room
from reelmill.clock import SystemClock
from reelmill.domain.attempt import Grant, Offer
from reelmill.domain.node import NodeInfo
from reelmill.errors import Conflict, NotFound, ReelmillError
from reelmill.master import scheduler
from reelmill.master.master import Master
from reelmill.master.scheduler import Scheduler
from reelmill.store.claim import claim_each
from reelmill.store.protocol import Tx
from reelmill.store.sqlite import SqliteStore
from reelmill.store.tenants import set_limit
from reelmill.store.transition import Rules
from tests.farmhand import Farmhand
from tests.samples import failed, new_job, new_jobs, node_info, offer, published, settled, started
from tests.served import MakeSettings
from tests.waiting import wait_until

NODE = node_info()
LONG = 3600.0
AT_ONCE = 3.0
"""Far less than the five seconds after which parked claims are tried again anyway."""


class Farm(Farmhand):
    """A scheduler with its store and bus, and workers that are played by the test."""

    def __init__(self, master: Master, store: SqliteStore, bus: MemoryBus) -> None:
        super().__init__(store)
        self.master = master
        self.bus = bus

    def ask(
        self, node: NodeInfo = NODE, free: int | None = None, wait: float = LONG
    ) -> asyncio.Future[list[Grant] | None]:
        """A worker's question, under way."""
        return asyncio.ensure_future(CLAIM.ask(self.bus, Claim(offer(node, free), wait), LONG))

    async def parked(
        self, node: NodeInfo = NODE, free: int | None = None, wait: float = LONG
    ) -> asyncio.Future[list[Grant] | None]:
        """A question that the scheduler has tried in vain and keeps open."""
        asked = self.ask(node, free, wait)
        for _ in range(20):  # let the first round pass
            await asyncio.sleep(0.005)
        assert not asked.done()
        return asked


async def within(asked: asyncio.Future[list[Grant] | None], seconds: float = AT_ONCE) -> list[str]:
    """The jobs that were granted, which must come at once."""
    grants = await asyncio.wait_for(asyncio.shield(asked), seconds)
    assert grants is not None
    return [grant.key.job_id for grant in grants]


def limited(farm: Farm, max_running: int | None) -> Awaitable[None]:
    """Give the tenant of all these jobs a limit, or take it away."""
    return farm.change(lambda tx, _: set_limit(tx, "default", max_running))


@pytest.fixture(params=["memory", "file"])
async def farm(request: pytest.FixtureRequest, make_settings: MakeSettings) -> AsyncIterator[Farm]:
    settings = make_settings()
    store = SqliteStore(settings.data / "farm.db" if request.param == "file" else None)
    bus = MemoryBus()
    master = Master(settings, store, bus, SystemClock(), alone=False)
    await store.start()
    await master.start()
    yield Farm(master, store, bus)
    await master.stop()
    await bus.stop()
    await store.stop()


async def test_a_claim_is_answered_with_what_is_there(farm: Farm) -> None:
    """At once."""
    jobs = await farm.submit(*new_jobs(3))

    assert [job.id for job in jobs] == await within(farm.ask())


async def test_a_parked_claim_is_answered_the_moment_a_job_arrives(farm: Farm) -> None:
    """Not at the next look."""
    asked = await farm.parked()
    [job] = await farm.submit(new_job())

    assert [job.id] == await within(asked)


async def test_parked_claims_of_many_nodes_share_what_arrives(farm: Farm) -> None:
    """Each job goes to one of them."""
    asked = [await farm.parked(node_info(f"mill-{n}"), 1) for n in range(5)]
    jobs = await farm.submit(*new_jobs(5))

    granted = [job_id for one in asked for job_id in await within(one)]
    assert sorted(job.id for job in jobs) == sorted(granted)


async def test_a_newer_claim_replaces_an_older_one_of_the_same_node(farm: Farm) -> None:
    """The older is answered with nothing; what arrives goes to the newer."""
    old = await farm.parked()
    new = farm.ask()

    assert [] == await within(old)
    [job] = await farm.submit(new_job())
    assert [job.id] == await within(new)


async def test_no_room_ends_the_question(farm: Farm) -> None:
    """A draining worker is answered with nothing, and gets nothing later."""
    asked = await farm.parked()
    await ROOM.tell(farm.bus, Room(NODE.id, 0))

    assert [] == await within(asked)
    [job] = await farm.submit(new_job())
    assert [job.id] == await within(farm.ask(node_info("other")))


async def test_more_room_lets_a_parked_claim_take_a_bigger_job(farm: Farm) -> None:
    """Without asking anew."""
    [job] = await farm.submit(new_job("1080p30-h264"))
    asked = await farm.parked(free=1)
    await ROOM.tell(farm.bus, Room(NODE.id, 4))

    assert [job.id] == await within(asked)


async def test_a_claim_with_no_time_left_is_answered_with_nothing(farm: Farm) -> None:
    """After the time that the worker said."""
    assert [] == await within(farm.ask(wait=0.05))


async def test_a_claim_that_times_out_just_then_loses_no_grant(farm: Farm) -> None:
    """Hundreds of claims whose time is up at about the moment a job comes: every job given was also received."""
    rng = random.Random(5)
    received: set[str] = set()
    total = 150
    node = node_info(units=1)

    async def arrive() -> None:
        for _ in range(total):
            await asyncio.sleep(rng.random() * 0.006)
            await farm.submit(new_job())

    arriving = asyncio.ensure_future(arrive())
    async with asyncio.timeout(60):
        while len(received) < total:
            grants = await CLAIM.ask(farm.bus, Claim(offer(node), rng.random() * 0.006), LONG)
            received |= {grant.key.job_id for grant in grants or ()}
            given = {job.id for job in await farm.jobs() if job.status == "assigned"}
            assert given == received, "a job was given to a claim that nobody heard the answer of"
    await arriving


async def test_claims_that_replace_each_other_lose_no_grant(farm: Farm) -> None:
    """A worker that asks anew again and again receives every job once, by one of its questions."""
    rng = random.Random(6)
    asked: list[asyncio.Future[list[Grant] | None]] = []
    for _ in range(100):
        asked.append(farm.ask(node_info(units=1), wait=rng.random() * 0.01))
        await asyncio.sleep(rng.random() * 0.004)
        await farm.submit(new_job())
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*asked)

    received = [grant.key.job_id for grants in answers for grant in grants or ()]
    given = [job.id for job in await farm.jobs() if job.status == "assigned"]
    assert sorted(given) == sorted(received)


async def test_a_retry_is_given_when_its_backoff_ends(farm: Farm) -> None:
    """A parked claim need not wait for the next look, five seconds later."""
    await farm.submit(new_job(), after=-(10**9))
    [grant] = await asyncio.wait_for(farm.ask(), AT_ONCE) or []
    assert [True, True] == await REPORT.ask(farm.bus, [started(grant.key, NODE), failed(grant.key, NODE)], 5)

    assert [grant.key.job_id] == await within(farm.ask(), 4.5)


async def test_a_stopping_master_answers_its_parked_claims(make_settings: MakeSettings, farm: Farm) -> None:
    """With nothing, so that no worker waits for its own timeout."""
    asked = [await farm.parked(node_info(f"mill-{n}")) for n in range(3)]
    await farm.master.stop()

    assert [[], [], []] == [await within(one) for one in asked]
    assert await CLAIM.ask(farm.bus, Claim(offer(NODE), 1.0), 1.0) is None, "nobody answers any more"


async def test_a_store_that_refuses_for_a_while_does_not_end_the_scheduler(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question stays open, and is answered when the store works again."""
    refused = asyncio.Event()

    async def refuse(_work: object, **_how: object) -> None:
        refused.set()
        raise OSError("gone")

    asked = await farm.parked()
    with monkeypatch.context() as patch:
        patch.setattr(farm.store, "write", refuse)
        farm.store.doorbell.ring()
        await asyncio.wait_for(refused.wait(), AT_ONCE)
    [job] = await farm.submit(new_job())

    assert [job.id] == await within(asked)


async def test_a_report_of_a_failure_rings_the_doorbell(farm: Farm) -> None:
    """What a failed attempt frees may be claimed by others at once."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await farm.submit(new_job())
    [grant] = await asyncio.wait_for(farm.ask(), AT_ONCE) or []
    farm.store.doorbell.listen(lambda: heard.put_nowait("work"))

    await REPORT.ask(farm.bus, [failed(grant.key, NODE)], 5)

    assert await asyncio.wait_for(heard.get(), AT_ONCE)


async def test_a_scheduler_starts_and_stops_more_than_once(farm: Farm) -> None:
    """One contract for every service."""
    scheduler = Scheduler(farm.master.farm)
    for _ in range(2):
        await scheduler.start()
        await scheduler.start()
        await scheduler.stop()
        await scheduler.stop()
    await wait_until(lambda: asyncio.sleep(0, len(asyncio.all_tasks())), lambda n: n < 20)


@pytest.mark.parametrize("limit", [2, None])
async def test_a_raised_limit_is_heard_at_once(farm: Farm, limit: int | None) -> None:
    """A question that a tenant's limit kept open is answered when the limit is raised or taken away."""
    await limited(farm, 1)
    await farm.submit(*new_jobs(2))
    assert 1 == len(await farm.claim(node_info("other"), 1))
    asked = await farm.parked()

    await limited(farm, limit)

    assert 1 == len(await within(asked))


async def test_a_job_that_ends_lets_another_of_its_tenant_begin_at_once(farm: Farm) -> None:
    """On whichever node there is room: nobody else would tell the one that waits."""
    await limited(farm, 1)
    [_, second] = await farm.submit(*new_jobs(2))
    other = node_info("other", units=1)
    key = await farm.run(other)
    asked = await farm.parked()

    said = [settled(key, other), published(key, other)]
    assert [True, True] == await REPORT.ask(farm.bus, said, AT_ONCE)

    assert [second.id] == await within(asked)


@pytest.mark.parametrize("at_once", [32, 1])
@pytest.mark.parametrize("error", [NotFound, Conflict])
async def test_a_claim_that_fails_on_purpose_stops_no_other_node(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, error: type[ReelmillError], at_once: int
) -> None:
    """One node's claim meets what the store refuses: all others of the round, of its commit or not, get their jobs."""
    monkeypatch.setattr(scheduler, "_AT_ONCE", at_once)

    def claim_or_refuse(tx: Tx, offers: Sequence[Offer], lease_seconds: float, rules: Rules) -> list[list[Grant]]:
        if "cursed" in [offer.node_name for offer in offers]:
            raise error("this one job")
        return claim_each(tx, offers, lease_seconds, rules)

    monkeypatch.setattr(scheduler, "claim_each", claim_or_refuse)
    cursed, well = await farm.parked(node_info("cursed")), await farm.parked(NODE)
    [job] = await farm.submit(new_job())

    assert [job.id] == await within(well)
    assert not cursed.done()


async def test_a_claim_that_nobody_waits_for_any_more_is_given_nothing(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time ended while those before it in the round were served: what it would have had is there for others."""
    monkeypatch.setattr(scheduler, "_AT_ONCE", 1)
    begun, go_on = threading.Event(), threading.Event()

    def claim_slowly(tx: Tx, offers: Sequence[Offer], lease_seconds: float, rules: Rules) -> list[list[Grant]]:
        if offers[0].node_name == "first":
            begun.set()
            go_on.wait(AT_ONCE)
        return claim_each(tx, offers, lease_seconds, rules)

    first, late = node_info("first", engines={"ffmpeg": ["av1"]}), node_info("late")
    waits = await farm.parked(first)
    asked = await farm.parked(late, wait=1.0)
    monkeypatch.setattr(scheduler, "claim_each", claim_slowly)
    [job] = await farm.submit(new_job())
    assert await asyncio.to_thread(begun.wait, AT_ONCE)
    await asyncio.sleep(1.0)  # its time is over
    go_on.set()

    assert [] == await within(asked)
    assert [job.id] == await within(farm.ask(node_info("other")))
    assert not waits.done()
