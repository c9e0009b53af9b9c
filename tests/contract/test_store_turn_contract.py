"""What one master at a time does."""

from __future__ import annotations

import asyncio
import threading

from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store, Tx
from reelmill.store.turn import is_our_turn
from tests.contract.conftest import new_database


async def test_a_turn_is_ours_when_nobody_else_has_it(store: Store) -> None:
    """And again in the next transaction."""
    assert await store.write(lambda tx: is_our_turn(tx, "sweep"))
    assert await store.write(lambda tx: is_our_turn(tx, "sweep") and is_our_turn(tx, "prune"))


async def test_another_master_waits_for_its_turn() -> None:
    """It does not stand there: it hears no, and has its turn once the other is done; other work is not held up."""
    url = new_database()
    first, second = PostgresStore(url), PostgresStore(url)
    await first.start()
    await second.start()
    has_it, go_on = threading.Event(), threading.Event()

    def sweep(tx: Tx) -> bool:
        ours = is_our_turn(tx, "sweep")
        has_it.set()
        assert go_on.wait(30)
        return ours

    sweeping = asyncio.create_task(first.write(sweep))
    await asyncio.to_thread(has_it.wait, 30)
    assert not await second.write(lambda tx: is_our_turn(tx, "sweep"))
    assert await second.write(lambda tx: is_our_turn(tx, "prune"))
    go_on.set()
    assert await sweeping
    assert await second.write(lambda tx: is_our_turn(tx, "sweep"))
    await first.stop()
    await second.stop()
