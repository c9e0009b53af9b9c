"""PostgreSQL itself: two masters on one database, a server that dies, URLs and servers that will not do."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from reelmill.domain.attempt import Offer
from reelmill.domain.capability import Capabilities
from reelmill.domain.retry import RetryPolicy
from reelmill.errors import StartupError, StoreUnavailable
from reelmill.store import postgres
from reelmill.store.claim import claim
from reelmill.store.counts import read_counts
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.submit import insert_jobs
from reelmill.store.transition import Rules
from tests.contract.conftest import new_database, postgres_server
from tests.samples import new_jobs

JOBS = 2000
DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()
"""


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


async def test_a_server_lost_in_the_middle_of_a_commit_is_not_said_to_have_kept_nothing() -> None:
    """Nobody can know: the sentence says so, and what makes asking again safe."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        await store.write(lambda tx: tx.execute(text(DIE_AT_COMMIT)) and None)
        with pytest.raises(StoreUnavailable, match=r"is not known; ask again with the same idempotency key"):
            await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
    finally:
        await store.stop()


async def test_a_server_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its version, and the one that is needed."""
    monkeypatch.setattr(postgres, "_OLDEST", 990_000)

    with pytest.raises(StartupError, match=r"is PostgreSQL 18; 99 or newer is needed"):
        await PostgresStore(new_database()).start()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://nobody:secret@localhost/x", "the store mysql:… is not a postgresql:// URL"),
        ("postgresql://127.0.0.1:9/x?password=secret", "cannot use the store postgresql://127.0.0.1:9/x: "),
        ("farm.db", "the store of that name is not a postgresql:// URL"),
        ("postgresql://nobody:@localhost:secret/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:sec[ret@127.0.0.1:1/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:sec]ret@127.0.0.1:1/x", "cannot be read; write postgresql://"),
        ("postgresql://[::1/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", "cannot use the store postgresql://nobody:***@127.0.0.1:9/x"),
    ],
)
async def test_a_url_that_will_not_do_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    """What is wrong, where, and never the secret."""
    with pytest.raises(StartupError) as caught:
        await PostgresStore(url).start()
    assert sentence in str(caught.value)
    assert not re.search(r"sec.?ret", str(caught.value))


async def test_a_role_that_may_not_make_tables_is_told_so() -> None:
    """As on any PostgreSQL 15 or newer, where nobody but the owner may: one sentence, for the first start."""
    url = new_database()
    database = url.partition("?")[0].rpartition("/")[2]
    postgres_server().psql(f"CREATE ROLE {database}_guest LOGIN")
    guest = re.sub("//[^@]*@", f"//{database}_guest@", url)
    with pytest.raises(StartupError, match=r"cannot use the store .*: permission denied for schema public"):
        await PostgresStore(guest).start()


async def test_reads_cannot_write() -> None:
    """A read that tries to change something is refused by the database itself."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        with pytest.raises(StoreUnavailable, match="read-only transaction"):
            await store.read(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
    finally:
        await store.stop()


async def test_what_was_given_away_is_vacuumed_early() -> None:
    """Dead entries at the front of the index of ready jobs cost every claim: not a fifth of the table may gather."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        set_to = text("SELECT unnest(reloptions) FROM pg_class WHERE relname = 'jobs'")
        options = await store.read(lambda tx: tx.execute(set_to).scalars().all())
    finally:
        await store.stop()
    assert {"autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=10000"} <= set(options)
