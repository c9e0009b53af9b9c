"""What guards every write: fences against outdated rows, limits that make sense, counts of only what was kept."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Cancel
from reelmill.store.counts import read_counts
from reelmill.store.protocol import Store, Tx
from reelmill.store.submit import insert_jobs
from reelmill.store.transition import change
from tests.farmhand import Farmhand
from tests.samples import NOW, new_job, node_info, rules

NODE = node_info()


@pytest.mark.parametrize("outdated", [{"attempt": 1}, {"status": "assigned"}])
async def test_a_change_of_an_outdated_row_is_refused(farm: Farmhand, outdated: dict[str, object]) -> None:
    """The row has another attempt or another status by now: nothing is written, neither row, history nor counts."""
    [job] = await farm.submit(new_job())
    await farm.run(NODE)
    await farm.goodbye(NODE)
    await farm.run(node_info("other"))
    before, steps = await farm.job(job.id), await farm.history(job.id)
    assert ("running", 2) == (before.status, before.attempt)

    def work(tx: Tx) -> Job:
        return change(tx, msgspec.structs.replace(before, **outdated), Cancel(), rules())

    with pytest.raises(AssertionError, match="changed under their lock"):
        await farm.store.write(work)
    assert (before, steps) == (await farm.job(job.id), await farm.history(job.id))


async def test_a_negative_limit_is_refused(store: Store) -> None:
    """By the database itself."""
    with pytest.raises(IntegrityError, match="tenants_limit"):
        await store.write(
            lambda tx: tx.execute(text("INSERT INTO tenants (name, max_running) VALUES ('studio', -1)")) and None
        )


async def test_what_fails_in_a_shared_commit_is_not_counted(farm: Farmhand) -> None:
    """Of many that share a commit every third fails after its job was inserted: the counts are those of the others."""

    def spoil(tx: Tx) -> None:
        insert_jobs(tx, [new_job()], NOW)
        raise LookupError("mine")

    async def one(n: int) -> None:
        if n % 3:
            await farm.submit(new_job())
        else:
            with pytest.raises(LookupError, match="mine"):
                await farm.store.write(spoil)

    await asyncio.gather(*(one(n) for n in range(30)))

    assert [20] == list((await farm.store.read(read_counts)).values())
