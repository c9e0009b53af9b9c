"""Two masters on one PostgreSQL: what one commits the other knows at once, and a lost server takes no word back."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx2
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import CLAIM, REPORT, Claim
from reelmill.clock import SystemClock
from reelmill.domain.attempt import Grant
from reelmill.master import scheduler
from reelmill.master.clock_watch import ClockWatch
from reelmill.master.master import Master
from reelmill.service import running
from reelmill.store.database_clock import clock_gap
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from tests.contract.conftest import new_database, postgres_server
from tests.ear import listening
from tests.samples import failed, node_info, offer, started
from tests.served import MakeSettings
from tests.waiting import wait_until

NODE = node_info()
LONG = 3600.0
AT_ONCE = 15.0
"""Far less than the minute after which these masters look at their parked claims by themselves."""


class Party(NamedTuple):
    """One of the masters, with its own bus and store, and a client of its API."""

    master: Master
    bus: MemoryBus
    store: PostgresStore
    client: httpx2.AsyncClient

    async def submit(self) -> str:
        """The id of a job that this master accepted."""
        answer = await self.client.post("/jobs", json={"scenario": "480p30-h264"})
        assert 201 == answer.status_code, answer.text
        return answer.json()["id"]

    async def read(self, statement: str) -> Any:
        """The one value of a SELECT."""
        return await self.store.read(lambda tx: tx.execute(text(statement)).scalar_one())

    async def parked(self) -> asyncio.Future[list[Grant] | None]:
        """A worker's question that this master has tried in vain and keeps open."""
        tried = asyncio.Event()
        write = self.store.write

        async def note(work: Callable[[Tx], object], **how: bool) -> object:
            done = await write(work, **how)
            tried.set()
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.store, "write", note)
            asked = asyncio.ensure_future(CLAIM.ask(self.bus, Claim(offer(NODE), LONG), LONG))
            await asyncio.wait_for(tried.wait(), AT_ONCE)
        assert not asked.done()
        return asked


@pytest.fixture
async def parties(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Party, Party]]:
    """Two masters that have nothing in common but the database."""
    monkeypatch.setattr(scheduler, "_CHECK_SECONDS", 60.0)
    url = new_database()
    parties: list[Party] = []
    for _ in range(2):
        store, bus = PostgresStore(url), MemoryBus()
        await store.start()
        master = Master(make_settings(retry_base_seconds=0.1), store, bus, SystemClock(), alone=False)
        await master.start()
        parties.append(Party(master, bus, store, httpx2.AsyncClient(base_url=master.url, timeout=30)))
    yield parties[0], parties[1]
    for party in parties:
        await party.client.aclose()
        await party.master.stop()
        await party.bus.stop()
        await party.store.stop()


class SkewedClock:
    """The machine's clock, set wrong."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return time.time() + self.seconds


@pytest.mark.parametrize(
    ("seconds", "warns", "status", "words"),
    [
        (0.0, False, "healthy", []),
        (1.9, True, "healthy", []),
        (30.0, True, "degraded", ["this master's clock is 30.0 s ahead of the database's; set both by NTP"]),
        (-30.0, True, "degraded", ["this master's clock is 30.0 s behind the database's; set both by NTP"]),
    ],
)
async def test_a_master_whose_clock_differs_says_so_and_goes_on(
    make_settings: MakeSettings, seconds: float, warns: bool, status: str, words: list[str]
) -> None:
    """From one second on in its log, from two on in its health, which is no reason to send it no more work."""
    store, clock = PostgresStore(new_database()), SkewedClock(seconds)
    master = Master(make_settings(), store, MemoryBus(), clock, alone=False)
    with capture_logs() as said:
        async with running(store, master), httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
            answer = await client.get("/health")
            assert (200, status, words) == (answer.status_code, answer.json()["status"], answer.json()["reasons"])
            assert 200 == (await client.get("/readyz")).status_code
    assert warns == ("clocks_differ" in [entry["event"] for entry in said])


async def test_the_way_to_the_database_is_no_difference_of_clocks(make_settings: MakeSettings) -> None:
    """A round trip of ten seconds says only that they are five apart at most; a clock that is set right is right."""
    store = PostgresStore(new_database())
    async with running(store):
        ticks = itertools.count(time.time(), 10.0)
        slow = await store.read(lambda tx: clock_gap(tx, lambda: next(ticks)))
        assert slow is not None
        assert (5.0, 0.0) == (slow.doubt, slow.least)
        clock = SkewedClock(30.0)
        master = Master(make_settings(), store, MemoryBus(), clock, alone=False)
        watch = ClockWatch(master.farm)
        assert 29.0 < await watch.run_once()
        assert watch.degraded is not None
        clock.seconds = 0.0
        assert (0.0, None) == (await watch.run_once(), watch.degraded)


async def granted(asked: asyncio.Future[list[Grant] | None]) -> list[str]:
    """The jobs that the question was answered with, which must come at once."""
    grants = await asyncio.wait_for(asyncio.shield(asked), AT_ONCE)
    assert grants is not None
    return [grant.key.job_id for grant in grants]


async def test_a_claim_parked_on_one_master_is_answered_by_a_submission_through_the_other(
    parties: tuple[Party, Party],
) -> None:
    """The database itself carries the word, with the commit."""
    here, there = parties
    asked = await there.parked()

    assert [await here.submit()] == await granted(asked)


@pytest.mark.parametrize("action", ["resume", "retry"])
async def test_a_job_that_is_released_on_one_master_is_given_by_the_other(
    parties: tuple[Party, Party], action: str
) -> None:
    """Not only new jobs ring."""
    here, there = parties
    job_id = await here.submit()
    before = {"resume": "pause", "retry": "cancel"}[action]
    assert 200 == (await here.client.post(f"/jobs/{job_id}/{before}")).status_code
    asked = await there.parked()

    assert 200 == (await here.client.post(f"/jobs/{job_id}/{action}")).status_code
    assert [job_id] == await granted(asked)


async def test_a_retry_that_one_master_noted_is_given_by_the_other_when_its_backoff_ends(
    parties: tuple[Party, Party],
) -> None:
    """The other master knows when to look."""
    here, there = parties
    job_id = await here.submit()
    [grant] = await asyncio.wait_for(CLAIM.ask(here.bus, Claim(offer(NODE), LONG), LONG), AT_ONCE) or []
    asked = await there.parked()

    assert [True, True] == await REPORT.ask(here.bus, [started(grant.key, NODE), failed(grant.key, NODE)], AT_ONCE)
    assert [job_id] == await granted(asked)


async def test_the_steps_of_a_job_are_heard_at_either_master_and_on_at_the_other(parties: tuple[Party, Party]) -> None:
    """Who changes masters with its last id misses nothing and hears nothing twice."""
    here, there = parties
    numbers: list[int] = []
    steps: list[str] = []
    job_id = await here.submit()
    last: int | None = None
    for listened, acting in ((there, here), (here, there), (there, here)):
        async with listening(listened.master.url, last, job=job_id) as ear:
            assert 200 == (await acting.client.post(f"/jobs/{job_id}/pause")).status_code
            assert 200 == (await listened.client.post(f"/jobs/{job_id}/resume")).status_code
            assert 200 == (await acting.client.post(f"/jobs/{job_id}/pause")).status_code
            for _ in range(2 if last is None else 3):  # the third waits for who comes next
                event = await ear.next()
                steps.append(event.data["to_status"])
                numbers.append(event.id or 0)
            last = ear.last
        assert 200 == (await listened.client.post(f"/jobs/{job_id}/resume")).status_code
    assert ["paused", "queued"] * 4 == steps
    assert sorted(set(numbers)) == numbers


EARS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"


async def test_a_master_whose_ear_was_cut_off_listens_again(parties: tuple[Party, Party]) -> None:
    """The connection that listens is made again, and what came meanwhile is looked for."""
    here, there = parties
    for _ in range(2):
        asked = await there.parked()
        assert 2 == await here.read(f"SELECT count(pg_terminate_backend(pid)) {EARS}")

        assert [await here.submit()] == await granted(asked)
        await wait_until(lambda: here.read(f"SELECT count(*) {EARS}"), lambda count: count == 2)


async def test_while_the_database_is_away_requests_are_refused_and_told_when_to_come_again(
    parties: tuple[Party, Party],
) -> None:
    """503 with Retry-After for reads and writes, and a 201 only for what is there afterwards."""
    here, _ = parties
    name = await here.read("SELECT current_database()")
    accepted: list[str] = []
    refused: list[httpx2.Response] = []

    async def submit_until(enough: asyncio.Event) -> None:
        while not enough.is_set():
            answer = await here.client.post("/jobs", json={"scenario": "480p30-h264"})
            if answer.status_code == 201:
                accepted.append(answer.json()["id"])
            else:
                refused.append(answer)

    enough = asyncio.Event()
    submitting = [asyncio.ensure_future(submit_until(enough)) for _ in range(4)]
    for _ in range(3):
        before = len(accepted)
        await wait_until(lambda: asyncio.sleep(0, len(accepted)), lambda n, before=before: n > before + 5)
        postgres_server().psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres_server().psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        before = len(refused)
        await wait_until(lambda: asyncio.sleep(0, len(refused)), lambda n, before=before: n > before + 5)
        answer = await here.client.get("/jobs?limit=1")
        assert (503, "2") == (answer.status_code, answer.headers.get("retry-after")), answer.text
        postgres_server().psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    enough.set()
    await asyncio.gather(*submitting)

    assert {(503, "2")} == {(answer.status_code, answer.headers.get("retry-after")) for answer in refused}
    kept = await here.store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=100_000))
    assert set(accepted) <= {job.id for job in kept}
