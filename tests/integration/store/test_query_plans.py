"""The statements on the way of every job find their rows by an index: their cost does not grow with the queue."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, text

from reelmill.store import selection
from reelmill.store.attempts import SignOfLife, beat_all, expire_leases
from reelmill.store.claim import claim, next_due
from reelmill.store.explain import explain_job, explain_launch
from reelmill.store.lanes import read_lanes
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from reelmill.store.sqlite import SqliteStore
from reelmill.store.tenants import set_limit
from tests.contract.conftest import new_database
from tests.farmhand import Farmhand
from tests.samples import LEASE, new_job, new_jobs, node_info, offer, rules

Work = Callable[[Tx], object]


def _explain(tx: Tx) -> object:
    [job] = list_jobs(tx, JobFilter(), after=1, limit=1)
    return explain_job(tx, job, 0.0)


def _claim_of_a_limited_tenant(tx: Tx) -> object:
    set_limit(tx, "default", 5)
    return claim(tx, offer(node_info("other")), LEASE, rules())


FILTERS = {
    "a status": JobFilter(status=["queued"]),
    "several statuses": JobFilter(status=["queued", "assigned"]),
    "a queue": JobFilter(queue=["default"]),
    "a scenario": JobFilter(scenario=["480p30-h264"]),
    "a launch": JobFilter(launch=["spring"]),
    "a status and a launch": JobFilter(status=["queued"], launch=["spring"]),
    "several statuses of a launch": JobFilter(status=["queued", "assigned"], launch=["spring"]),
    "a scenario and a status": JobFilter(scenario=["480p30-h264"], status=["queued"]),
    "a label": JobFilter(labels={"team": "a"}),
}


def _page_of(wanted: JobFilter) -> Work:
    return lambda tx: list_jobs(tx, wanted, after=100, limit=2, newest_first=True)


WORKS: dict[str, Work] = {
    "claim": lambda tx: claim(tx, offer(node_info("other")), LEASE, rules()),
    "claim of a tenant with a limit": _claim_of_a_limited_tenant,
    "next due": next_due,
    "beat": lambda tx: beat_all(tx, [SignOfLife(node_info(), [])], LEASE, rules()),
    "sweep": lambda tx: expire_leases(tx, 10, rules(1000)),
    "page": lambda tx: list_jobs(tx, JobFilter(), after=3, limit=2),
    "explain": _explain,
    "explain of a launch": lambda tx: explain_launch(tx, "spring", 0.0),
    **{f"page of {what}": _page_of(wanted) for what, wanted in FILTERS.items()},
}


@pytest.mark.parametrize("what", WORKS)
async def test_no_statement_reads_the_whole_queue(what: str) -> None:
    """SQLite's plan of each statement searches the jobs by an index or a key; it scans them for none."""
    store = SqliteStore(None)
    await store.start()
    try:
        farm = Farmhand(store)
        await farm.submit(*new_jobs(8), launch="spring")
        await farm.beat(node_info())
        await farm.run(node_info(units=1))
        plans = await store.write(lambda tx: plans_of(tx, WORKS[what]))
    finally:
        await store.stop()
    about_jobs = [step for step in plans if " jobs" in step or " j " in step]
    assert about_jobs
    assert [] == [step for step in about_jobs if not step.startswith("SEARCH") and " USING " not in step]


async def test_what_a_node_holds_is_found_by_the_node() -> None:
    """A beat costs what the node holds, not what the farm does: the index of what is held has its very words."""
    store = SqliteStore(None)
    await store.start()
    try:
        plans = await store.write(lambda tx: plans_of(tx, WORKS["beat"]))
    finally:
        await store.stop()
    assert [] != [step for step in plans if "jobs_held (node_id=?" in step]


def _plan_of_a_lane(tx: Tx) -> list[str]:
    [(statement, values)] = statements_of(tx, lambda tx: read_lanes(tx, [1], 4))
    return [row[0] for row in tx.exec_driver_sql(f"EXPLAIN {statement}", values)]


async def test_postgresql_walks_the_index_of_a_lane_that_it_knows_nothing_of() -> None:
    """Before the first statistics it takes a full lane for a short one: it must not read and sort it all the same."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        await Farmhand(store).submit(*new_jobs(3000))
        plan = await store.write(_plan_of_a_lane)
    finally:
        await store.stop()
    assert [True, False] == [any(word in step for step in plan) for word in ("Index Scan using jobs_ready", "Sort")]


PIECES = [
    (JobFilter(), 1),
    (JobFilter(scenario=["720p30-h264"]), 1),
    (JobFilter(queue=["default"]), 3),
    (JobFilter(queue=["live"]), 3),
    (JobFilter(launch=["late"]), 1),
    (JobFilter(status=["queued"], launch=["early", "late"]), 2),
    (JobFilter(status=["queued", "failed"], launch=["late"]), 1),
    (JobFilter(scenario=["720p30-h264"], status=["queued"]), 1),
    (JobFilter(status=["queued"], scenario=["480p30-h264", "720p30-h264"], queue=["live"], engine=["auto"]), 3),
]
"""Filters, and of how many values their pages are merged."""


async def test_postgresql_reads_little_more_than_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 10 where the first jobs tell nothing about the last: no more rows are read than the pieces have."""
    monkeypatch.setattr(selection, "SLICE", 10**6)
    store = PostgresStore(new_database())
    await store.start()
    try:
        farm = Farmhand(store)
        await farm.submit(*new_jobs(5000), launch="early")
        await farm.submit(*(new_job("720p30-h264", queue="live") for _ in range(1000)), launch="late")
        for statement in ("SELECT 1", "ANALYZE"):  # whether the planner knows nothing yet, or the whole of it
            await store.write(lambda tx, statement=statement: tx.execute(text(statement)) and None)
            for (wanted, pieces), newest_first in product(PIECES, (False, True)):
                page = _first_page(wanted, newest_first)
                read = await store.read(lambda tx, page=page: rows_read(tx, page))
                assert 10 <= read <= 10 + 10 * pieces, wanted  # each job by its key, after its number in a piece
    finally:
        await store.stop()


def _first_page(wanted: JobFilter, newest_first: bool) -> Work:
    return lambda tx: list_jobs(tx, wanted, after=None, limit=10, newest_first=newest_first)


def rows_read(tx: Tx, work: Work) -> int:
    """How many rows of the jobs and their indexes its SELECTs looked at."""

    def count(node: dict[str, Any]) -> int:
        removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        own = (node["Actual Rows"] + removed) * node["Actual Loops"] if node.get("Relation Name") == "jobs" else 0
        return own + sum(map(count, node.get("Plans", ())))

    asked = "EXPLAIN (ANALYZE, FORMAT JSON) "
    return sum(
        count(tx.exec_driver_sql(asked + statement, one).scalar_one()[0]["Plan"])
        for statement, one in statements_of(tx, work)
    )


def plans_of(tx: Tx, work: Work) -> list[str]:
    """The steps of SQLite's plans of these statements."""
    ran = statements_of(tx, work)
    return [row[3] for statement, one in ran for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]


def statements_of(tx: Tx, work: Work) -> list[tuple[str, Any]]:
    """Every SELECT and UPDATE that ``work`` runs, with its parameters."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "WITH")):
            ran.append((statement, parameters[0] if many else parameters))

    event.listen(tx, "before_cursor_execute", note)
    work(tx)
    event.remove(tx, "before_cursor_execute", note)
    return ran
