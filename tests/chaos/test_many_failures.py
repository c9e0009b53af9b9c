"""Ten thousand jobs that fail at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import httpx2
import pytest

from reelmill.store.postgres import PostgresStore
from tests.chaos.conftest import Figures
from tests.chaos.figures import percentile, seconds_of
from tests.chaos.mortal import MortalFarm
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for
from tests.farmhand import NOW, Farmhand
from tests.samples import LEASE, new_job, node_info, started

pytestmark = pytest.mark.slow

JOBS = 10_000
BACKOFF_SECONDS = 60
GIANT = node_info("giant", units=JOBS, labels={"size": "giant"})


async def give_all_to_a_node_that_dies(url: str) -> None:
    """Each job runs on a node of which nothing is heard since its lease, which is over now."""
    store = PostgresStore(url)
    await store.start()
    farm = Farmhand(store)
    await farm.submit(*[new_job(node_labels=dict(GIANT.capabilities.labels)) for _ in range(JOBS)])
    after = time.time() - NOW - LEASE
    grants = await farm.claim(GIANT, after=after)
    assert JOBS == len(grants)
    assert all(await farm.report(*[started(grant.key, GIANT) for grant in grants], after=after))
    await store.stop()


class Onlooker:
    """Asks for the summary again and again, and keeps how long each answer took."""

    def __init__(self, url: str) -> None:
        self.seconds: list[float] = []
        self.statuses: set[int] = set()
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        with httpx2.Client(timeout=60) as client:
            while not self._ended.is_set():
                began = time.monotonic()
                self.statuses.add(client.get(f"{self._url}/jobs/summary").status_code)
                self.seconds.append(time.monotonic() - began)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(60)


def test_ten_thousand_jobs_that_fail_at_once_are_spread_and_the_api_answers(
    commands: Commands, figures: Figures
) -> None:
    """Their node is lost: all are to be tried again, each at a moment of its own, and whoever looks is answered."""
    url = new_database()
    asyncio.run(give_all_to_a_node_that_dies(url))
    farm = MortalFarm(
        commands,
        "mill",
        REELMILL_STORE=url,
        REELMILL_LEASE_SECONDS="3",
        REELMILL_RETRY_BASE_SECONDS=str(BACKOFF_SECONDS),
    )
    farm.start()
    onlooker = Onlooker(str(farm.up().url))
    wait_for(lambda: farm.get("/jobs/summary")["by_status"], lambda counts: counts == {"retrying": JOBS}, 100)
    onlooker.stop()
    assert {200} == onlooker.statuses

    jobs = farm.get("/jobs?fields=eligible_at")["jobs"]
    moments = sorted(seconds_of(job["eligible_at"]) for job in jobs)
    assert BACKOFF_SECONDS / 2 < moments[-1] - moments[0]
    in_one_second = max(Counter(int(moment) for moment in moments).values())
    assert in_one_second < JOBS / 20
    p50, p99, most = (1000 * percentile(onlooker.seconds, share) for share in (0.5, 0.99, 1))
    figures(
        f"GET /jobs/summary while {JOBS} jobs fail: {len(onlooker.seconds)} answers, p50 {p50:.1f} ms, "
        f"p99 {p99:.1f} ms, at most {most:.0f} ms; at most {in_one_second} retries in one second"
    )
    farm.stop()
