"""What a store promises of its transactions, whatever the database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reelmill.errors import StoreUnavailable
from reelmill.store.protocol import Store, Tx
from tests.farmhand import Farmhand
from tests.samples import new_job


async def test_a_failing_work_does_not_undo_its_neighbours(store: Store) -> None:
    """Many at once, every third raises in the middle: exactly the others are kept, each caller gets its own answer."""
    farm = Farmhand(store)

    def spoil(tx: Tx) -> None:
        tx.execute(text("INSERT INTO launches VALUES ('spoiled', NULL, 0)"))
        raise LookupError("mine")

    async def one(n: int) -> str:
        if n % 3 == 0:
            with pytest.raises(LookupError, match="mine"):
                await store.write(spoil)
            return "spoiled"
        [job] = await farm.submit(new_job())
        return job.id

    answers = await asyncio.gather(*(one(n) for n in range(90)))

    assert {answer for answer in answers if answer != "spoiled"} == {job.id for job in await farm.jobs()}
    assert 0 == await store.read(lambda tx: tx.execute(text("SELECT count(*) FROM launches")).scalar_one())


async def test_a_refused_row_does_not_undo_its_neighbours(store: Store) -> None:
    """A constraint that says no is the business of the one who asked."""
    farm = Farmhand(store)

    async def refused() -> None:
        with pytest.raises(DBAPIError):
            await store.write(
                lambda tx: tx.execute(text("INSERT INTO counts VALUES ('a', 'b', 'c', 'd', -1)")) and None
            )

    await asyncio.gather(refused(), farm.submit(new_job()), refused(), farm.submit(new_job()))

    assert 2 == len(await farm.jobs())


async def test_what_was_written_can_be_read_by_everyone_at_once(store: Store) -> None:
    """The answer comes after the commit."""
    farm = Farmhand(store)
    [job] = await farm.submit(new_job())

    jobs = await asyncio.gather(*(farm.job(job.id) for _ in range(20)))

    assert [job] * 20 == jobs


async def test_starting_twice_and_stopping_twice_do_no_harm(store: Store) -> None:
    """One contract for every service."""
    farm = Farmhand(store)
    await farm.submit(new_job())
    await store.start()
    assert 1 == len(await farm.jobs())
    await store.stop()
    await store.stop()
    with pytest.raises(StoreUnavailable):
        await farm.submit(new_job())
    with pytest.raises(StoreUnavailable):
        await farm.jobs()


async def test_a_write_while_the_store_stops_is_answered(store: Store) -> None:
    """Kept or refused, but never left hanging."""
    farm = Farmhand(store)
    before = [asyncio.ensure_future(farm.submit(new_job())) for _ in range(5)]
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(store.stop())
    await asyncio.sleep(0)
    during = [asyncio.ensure_future(farm.submit(new_job())) for _ in range(5)]
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*before, *during, return_exceptions=True)
        await stopping

    assert [] == [answer for answer in answers if not isinstance(answer, list | StoreUnavailable)]
    assert all(isinstance(answer, list) for answer in answers[:5]), "what was submitted before is finished"
