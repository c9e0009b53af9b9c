"""PostgreSQL itself: two masters on one database, a server that dies, URLs and servers that will not do."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from reelmill.domain.attempt import Offer
from reelmill.domain.capability import Capabilities
from reelmill.domain.retry import RetryPolicy
from reelmill.errors import StartupError, StoreUnavailable
from reelmill.store.claim import claim
from reelmill.store.counts import read_counts
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.submit import insert_jobs
from reelmill.store.transition import Rules
from tests.contract.conftest import new_database, postgres_server
from tests.samples import new_jobs

JOBS = 2000


@pytest.fixture
async def two_masters() -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two stores over one database, as two masters have them."""
    url = new_database()
    stores = PostgresStore(url), PostgresStore(url)
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


async def test_two_masters_never_give_a_job_twice(two_masters: tuple[PostgresStore, PostgresStore]) -> None:
    """16 claimers on two masters drain a queue: each job is given once, and each claim's jobs are in order."""
    await two_masters[0].write(lambda tx: insert_jobs(tx, new_jobs(JOBS), time.time()))

    async def drain(number: int) -> list[list[str]]:
        offer = Offer(f"n{number}", f"n{number}", Capabilities(4, {"ffmpeg": ["h264"]}), 4)
        taken: list[list[str]] = []
        rules = Rules(time.time(), RetryPolicy(), random.Random(number))
        while True:
            grants = await two_masters[number % 2].write(lambda tx: claim(tx, offer, 30.0, rules))
            if not grants:
                return taken
            taken.append([grant.key.job_id for grant in grants])

    claims = [claimed for each in await asyncio.gather(*(drain(number) for number in range(16))) for claimed in each]
    given = [job_id for claimed in claims for job_id in claimed]
    jobs = await two_masters[1].read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=JOBS))
    order = {job.id: job.sequence_number for job in jobs}
    # A claim that found nothing may have looked while another had the last ones locked: those are given by then.
    assert (JOBS, JOBS) == (len(given), len(set(given)))
    assert all(
        [order[job_id] for job_id in claimed] == sorted(order[job_id] for job_id in claimed) for claimed in claims
    )
    counts = await two_masters[0].read(read_counts)
    assert {"assigned": JOBS} == {key.status: n for key, n in counts.items()}


async def test_a_lost_server_is_told_and_forgotten() -> None:
    """While the connections are cut each request is refused with a sentence; afterwards the same store works on."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        assert 1 == len(await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0)))
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reelmill'"
        postgres_server().psql(cut)
        with pytest.raises(StoreUnavailable, match="nothing of this request was kept"):
            await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
        assert 1 == len(await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0)))
        jobs = await store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=10))
        assert 2 == len(jobs)
    finally:
        await store.stop()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://localhost/x", "is not a postgresql:// URL"),
        ("postgresql://localhost:abc/x", "cannot be read"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", "cannot use the store postgresql://nobody:***@127.0.0.1:9/x"),
    ],
)
async def test_a_url_that_will_not_do_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    """What is wrong, where, and never the secret."""
    with pytest.raises(StartupError) as caught:
        await PostgresStore(url).start()
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_reads_cannot_write() -> None:
    """A read that tries to change something is refused by the database itself."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        with pytest.raises(StoreUnavailable, match="read-only transaction"):
            await store.read(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
    finally:
        await store.stop()
