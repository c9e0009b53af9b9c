"""Two masters on one PostgreSQL: what one does in the very middle of the other's transaction spoils nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import pytest
from sqlalchemy import event, text

from reelmill.domain.attempt import Progress
from reelmill.errors import Conflict, Full
from reelmill.store.attempts import SignOfLife, beat_all, expire_leases
from reelmill.store.claim import claim
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store, Tx
from reelmill.store.submit import insert_jobs
from reelmill.store.tenants import get_tenant, set_limit
from tests.contract.conftest import new_database
from tests.farmhand import LATER, Farmhand
from tests.samples import LEASE, NOW, keys, new_job, new_jobs, node_info, offer, rules, settled
from tests.waiting import wait_until

T = TypeVar("T")

ONE, OTHER = node_info("one", 4), node_info("other", 4)
_BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


class Masters(NamedTuple):
    """Two masters, each with a store of its own over the one database."""

    one: Farmhand
    other: Farmhand


@pytest.fixture
async def masters() -> AsyncIterator[Masters]:
    """Both started, on an empty database."""
    url = new_database()
    stores = PostgresStore(url), PostgresStore(url)
    for store in stores:
        await store.start()
    yield Masters(Farmhand(stores[0]), Farmhand(stores[1]))
    for store in stores:
        await store.stop()


@contextmanager
def before(tx: Tx, words: str, deed: Callable[[], object], *, moment: str = "before") -> Generator[None]:
    """Do the deed before, or just after, the first statement of the transaction with these words."""
    waiting = [deed]

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if words in statement and waiting:
            waiting.pop()()

    event.listen(tx, f"{moment}_cursor_execute", look)
    yield
    event.remove(tx, f"{moment}_cursor_execute", look)
    assert [] == waiting, f"no statement said {words}"


def blocking(deeds: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], T]:
    """For a store's own thread: has the loop do the deeds, and waits until they are done."""
    loop = asyncio.get_running_loop()
    return lambda: asyncio.run_coroutine_threadsafe(deeds(), loop).result(20)


async def until_blocked(store: Store, task: asyncio.Task[Any]) -> None:
    """Until the task waits for a lock of the database, or is done without."""

    async def look() -> bool:
        blocked = await store.read(lambda tx: tx.execute(_BLOCKED).scalar_one())
        return task.done() or blocked > 0

    await wait_until(look, bool)


async def test_a_claim_does_not_wait_for_another_master(masters: Masters) -> None:
    """While one has given jobs away and not committed, the other gives the next ones, in order."""
    jobs = await masters.one.submit(*new_jobs(8))
    meanwhile = blocking(lambda: masters.other.claim(OTHER))

    def work(tx: Tx) -> list[list[str]]:
        first = claim(tx, offer(ONE), LEASE, rules())
        return [[key.job_id for key in keys(grants)] for grants in (first, meanwhile())]

    given = await masters.one.store.write(work)

    assert [[job.id for job in jobs[:4]], [job.id for job in jobs[4:]]] == given


async def test_a_job_that_another_master_gave_meanwhile_is_not_given_again(masters: Masters) -> None:
    """Between the look and the lock the other commits: this claim gives the next ones instead."""
    jobs = await masters.one.submit(*new_jobs(8))
    meanwhile = blocking(lambda: masters.other.claim(OTHER))

    def work(tx: Tx) -> list[str]:
        with before(tx, "SELECT id, sequence_number", meanwhile):
            return [key.job_id for key in keys(claim(tx, offer(ONE), LEASE, rules()))]

    assert [job.id for job in jobs[4:]] == await masters.one.store.write(work)


async def test_a_limit_holds_for_two_masters_at_once(masters: Masters) -> None:
    """The second claim waits for the first one's commit, and gives only what is left of the tenant's limit."""
    await masters.one.change(lambda tx, _: set_limit(tx, "studio", 5))
    await masters.one.submit(*(new_job(tenant="studio") for _ in range(20)))
    second: list[asyncio.Task[list[Any]]] = []

    async def begin_second() -> None:
        second.append(asyncio.create_task(masters.other.claim(OTHER)))
        await until_blocked(masters.other.store, second[0])

    meanwhile = blocking(begin_second)

    def work(tx: Tx) -> int:
        first = claim(tx, offer(ONE), LEASE, rules())
        meanwhile()
        return len(first)

    assert [4, 1] == [await masters.one.store.write(work), len(await second[0])]


@pytest.mark.parametrize("max_running", [5, None])
async def test_two_limits_of_a_new_tenant_at_once_are_both_kept(masters: Masters, max_running: int | None) -> None:
    """One master has looked and found no such tenant when the other sets, or takes away, the limit of another kind."""
    meanwhile = blocking(lambda: masters.other.change(lambda tx, _: set_limit(tx, "studio", max_queued=7)))

    def work(tx: Tx) -> None:
        with before(tx, "FOR UPDATE", meanwhile, moment="after"):
            set_limit(tx, "studio", max_running)

    await masters.one.store.write(work)
    found = await masters.one.store.read(lambda tx: get_tenant(tx, "studio"))
    assert (max_running, 7) == (found.max_running, found.max_queued)


async def test_a_full_queue_holds_for_two_masters_at_once(masters: Masters) -> None:
    """Both find room while neither has committed: the first commit has it, and the other's batch is refused whole."""
    await masters.one.submit(new_job(queue="live"))  # so that no one waits for the other's new lane
    other = blocking(lambda: masters.other.offer_jobs(*new_jobs(4), max_queued=5, together=True))

    def work(tx: Tx) -> list[Any]:
        answers = insert_jobs(tx, new_jobs(4), NOW, max_queued=5, together=True)
        if not tried:
            tried.append(other())
        return answers

    tried: list[list[Any]] = []
    with pytest.raises(Full, match="has no room for these 4 new jobs: 4 of at most 5"):
        await masters.one.store.write(work)
    assert (1, 5) == (len(tried), len(await masters.one.jobs()))
    assert 1 == len(await masters.one.offer_jobs(new_job(), max_queued=5, together=True))


async def test_clients_of_two_masters_fill_a_tenant_to_its_limit_and_no_further(masters: Masters) -> None:
    """Many batches at both at once, some together in a commit: whole batches, and never one job too many."""
    await masters.one.change(lambda tx, _: set_limit(tx, "studio", max_queued=50))

    async def send(farm: Farmhand) -> int:
        try:
            return len(await farm.offer_jobs(*(new_job(tenant="studio") for _ in range(3)), together=True))
        except Full:
            return 0

    sent = await asyncio.gather(*(send(farm) for _ in range(15) for farm in masters))

    assert {0: 14, 3: 16} == dict(Counter(sent))
    assert 48 == len(await masters.one.jobs())


async def test_one_key_at_two_masters_at_once_is_one_job(masters: Masters) -> None:
    """The second waits for the first one's commit and answers with its job."""
    jobs = [new_job(idempotency_key="k", parameters={"duration": 5}) for _ in range(2)]
    second: list[asyncio.Task[list[Any]]] = []

    async def begin_second() -> None:
        second.append(asyncio.create_task(masters.other.offer_jobs(jobs[1])))
        await until_blocked(masters.other.store, second[0])

    meanwhile = blocking(begin_second)

    def work(tx: Tx) -> list[Any]:
        answers = insert_jobs(tx, jobs[:1], NOW)
        meanwhile()
        return answers

    answers = [*await masters.one.store.write(work), *await second[0]]

    assert [] == [answer for answer in answers if isinstance(answer, Conflict)]
    assert [(jobs[0].id, True), (jobs[0].id, False)] == [(answer.job.id, answer.created) for answer in answers]


async def test_a_beat_renews_only_the_attempt_that_it_is_about(masters: Masters) -> None:
    """Between the look and the write the job was lost and given anew: the new attempt's lease stays as it is."""
    await masters.one.submit(new_job())
    key = await masters.one.run(ONE)

    async def overtake() -> None:
        await masters.other.sweep(LATER)
        await masters.other.run(ONE, after=LATER + 10)

    meanwhile = blocking(overtake)

    def work(tx: Tx) -> object:
        with before(tx, "UPDATE jobs", meanwhile):
            return beat_all(tx, [SignOfLife(ONE, [Progress(key)])], LEASE, rules(1))

    await masters.one.store.write(work)
    job = await masters.one.job(key.job_id)

    assert (2, NOW + LATER + 10 + LEASE) == (job.attempt, job.lease_until)


async def test_a_beat_takes_back_only_the_attempt_that_it_is_about(masters: Masters) -> None:
    """Between the look and the write the job was lost and given to another node: it keeps it."""
    await masters.one.submit(new_job())
    await masters.one.run(ONE)

    async def overtake() -> None:
        await masters.other.sweep(LATER)
        await masters.other.run(OTHER, after=LATER + 10)

    meanwhile = blocking(overtake)

    def work(tx: Tx) -> object:
        with before(tx, "FOR UPDATE", meanwhile):
            return beat_all(tx, [SignOfLife(ONE, [])], LEASE, rules(10))

    await masters.one.store.write(work)
    [job] = await masters.one.jobs()

    assert ("running", 2, OTHER.id) == (job.status, job.attempt, job.node_id)


async def test_a_sweep_leaves_alone_what_was_renewed_meanwhile(masters: Masters) -> None:
    """A worker that was back in time keeps its job."""
    await masters.one.submit(new_job())
    key = await masters.one.run(ONE)
    meanwhile = blocking(lambda: masters.other.beat(ONE, key, after=LATER))

    def work(tx: Tx) -> int:
        with before(tx, "FOR UPDATE", meanwhile):
            return expire_leases(tx, 500, rules(LATER))

    assert 0 == await masters.one.store.write(work)
    assert ("running", 1) == ((job := await masters.one.job(key.job_id)).status, job.attempt)


async def test_a_publication_is_handed_to_one_node(masters: Masters) -> None:
    """Two nodes beat at two masters after a third was lost: one finisher at a time."""
    await masters.one.submit(new_job())
    key = await masters.one.run(ONE)
    await masters.one.report(settled(key, ONE))
    meanwhile = blocking(lambda: masters.other.beat(node_info("third"), after=LATER))

    def work(tx: Tx) -> object:
        with before(tx, "FOR UPDATE", meanwhile):
            [answer] = beat_all(tx, [SignOfLife(OTHER, [])], LEASE, rules(LATER))
        return answer.publish

    assert [] == await masters.one.store.write(work)
    assert node_info("third").id == (await masters.one.job(key.job_id)).node_id
