"""The statements on the way of every job find their rows by an index: their cost does not grow with the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from reelmill.store.attempts import expire_leases
from reelmill.store.claim import claim, next_due
from reelmill.store.explain import explain_job
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.protocol import Tx
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import LEASE, new_jobs, node_info, offer, rules

Work = Callable[[Tx], object]


def _explain(tx: Tx) -> object:
    [job] = list_jobs(tx, JobFilter(), after=1, limit=1)
    return explain_job(tx, job, 0.0)


WORKS: dict[str, Work] = {
    "claim": lambda tx: claim(tx, offer(node_info("other")), LEASE, rules()),
    "next due": next_due,
    "sweep": lambda tx: expire_leases(tx, 10, rules(1000)),
    "page": lambda tx: list_jobs(tx, JobFilter(), after=3, limit=2),
    "explain": _explain,
}


@pytest.mark.parametrize("what", WORKS)
async def test_no_statement_reads_the_whole_queue(what: str) -> None:
    """SQLite's plan of each statement searches the jobs by an index or a key; it scans them for none."""
    store = SqliteStore(None)
    await store.start()
    try:
        farm = Farmhand(store)
        await farm.submit(*new_jobs(8))
        await farm.beat(node_info())
        await farm.run(node_info(units=1))
        plans = await store.write(lambda tx: plans_of(tx, WORKS[what]))
    finally:
        await store.stop()
    about_jobs = [step for step in plans if " jobs" in step]
    assert about_jobs
    assert [] == [step for step in about_jobs if not step.startswith("SEARCH") and " USING " not in step]


def plans_of(tx: Tx, work: Work) -> list[str]:
    """The steps of the plans of every SELECT and UPDATE that ``work`` runs."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE")):
            ran.append((statement, parameters[0] if many else parameters))

    event.listen(tx, "before_cursor_execute", note)
    work(tx)
    event.remove(tx, "before_cursor_execute", note)
    return [row[3] for statement, one in ran for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
