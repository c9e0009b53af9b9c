"""The doorbell: a commit that makes something claimable rings, and no other does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest

from reelmill.domain.lifecycle import Return
from reelmill.store.control import Action
from reelmill.store.doorbell import announce_work, has_announced
from reelmill.store.nodes import set_draining
from reelmill.store.protocol import Store, Tx
from tests.farmhand import LATER, Farmhand
from tests.samples import BAD_INPUT, failed, new_job, new_jobs, node_info, said

T = TypeVar("T")
NODE = node_info(units=1)
PATIENCE = 10.0


class Noting:
    """A store that notes whether work was announced in one of its transactions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = store.read
        self.announced = False

    async def write(self, work: Callable[[Tx], T]) -> T:
        def noted(tx: Tx) -> T:
            result = work(tx)
            self.announced |= has_announced(tx)
            return result

        return await self._store.write(noted)


async def act_on_first(farm: Farmhand, *actions: Action) -> None:
    [job, *_] = await farm.jobs()
    for action in actions:
        await farm.act(job.id, action)


async def drain(farm: Farmhand, draining: bool) -> None:
    await farm.store.write(lambda tx: set_draining(tx, NODE.id, draining))


async def give_back(farm: Farmhand) -> None:
    await farm.report(said(await farm.claim_one(NODE), NODE, Return("stopped")))


async def fail_for_now(farm: Farmhand) -> None:
    await farm.report(failed(await farm.run(NODE), NODE))


async def fail_for_good(farm: Farmhand) -> None:
    await farm.report(failed(await farm.run(NODE), NODE, BAD_INPUT))


async def lose(farm: Farmhand) -> None:
    await farm.run(NODE)
    await farm.sweep(LATER)


async def leave(farm: Farmhand) -> None:
    await farm.run(NODE)
    await farm.goodbye(NODE)


CHANGES: dict[str, tuple[bool, Callable[[Farmhand], Awaitable[object]]]] = {
    "a job is submitted": (True, lambda farm: farm.submit(new_job())),
    "a batch is submitted": (True, lambda farm: farm.submit(*new_jobs(20))),
    "a key is repeated": (False, lambda farm: farm.offer_jobs(new_job(idempotency_key="known"))),
    "a job is canceled": (False, lambda farm: act_on_first(farm, "cancel")),
    "a job is tried again": (True, lambda farm: act_on_first(farm, "cancel", "retry")),
    "a job is paused": (False, lambda farm: act_on_first(farm, "pause")),
    "a job is resumed": (True, lambda farm: act_on_first(farm, "pause", "resume")),
    "a node is drained": (False, lambda farm: drain(farm, True)),
    "a node takes jobs again": (True, lambda farm: drain(farm, False)),
    "a beat": (False, lambda farm: farm.beat(NODE)),
    "a job runs and completes": (False, lambda farm: farm.complete(NODE)),
    "a job fails for good": (False, fail_for_good),
    "a job waits for its next try": (True, fail_for_now),
    "a job is given back": (True, give_back),
    "a lease runs out": (True, lose),
    "a worker leaves": (True, leave),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_makes_something_claimable_announces_it(store: Store, what: str) -> None:
    """In the very transaction, whoever runs it; a change that does not, says nothing."""
    await Farmhand(store).submit(new_job(idempotency_key="known"))
    await Farmhand(store).beat(NODE)
    noting = Noting(store)
    announces, change = CHANGES[what]

    await change(Farmhand(cast("Store", noting)))

    assert announces == noting.announced


async def test_an_announcement_rings_with_its_commit(store: Store) -> None:
    """Everybody who listens, and nobody who has stopped listening."""
    heard = asyncio.Event()
    stopped: list[str] = []
    unlisten = store.doorbell.listen(lambda: stopped.append("rang"))
    store.doorbell.listen(heard.set)
    unlisten()

    await store.write(announce_work)

    async with asyncio.timeout(PATIENCE):
        await heard.wait()
    assert [] == stopped
