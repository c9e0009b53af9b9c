"""A master that is frozen, or cut off from the network, while workers have put their questions to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import pytest
from sqlalchemy import func, select

from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from reelmill.store.schema import jobs
from tests.chaos.aftermath import read_aftermath
from tests.chaos.conftest import Figures
from tests.chaos.site import LEASE_SECONDS, Site
from tests.e2e.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKERS = {"worker-1", "worker-2", "worker-3"}
AWAY = "master-1"
TAKEOVER_SECONDS = LEASE_SECONDS + 5


class Absence:
    """How a master goes away, and comes back."""

    def __init__(self, site: Site, how: str) -> None:
        self._site = site
        self._is_cut = how == "cut off"

    def begin(self) -> float:
        """When it began."""
        if self._is_cut:
            self._site.network.cut(self._site.machines[AWAY])
        else:
            os.killpg(self._site.processes[AWAY].pid, signal.SIGSTOP)
        return time.time()

    def end(self) -> None:
        if self._is_cut:
            self._site.network.mend(self._site.machines[AWAY])
        else:
            os.killpg(self._site.processes[AWAY].pid, signal.SIGCONT)


@pytest.mark.parametrize("how", ["frozen", "cut off"])
def test_a_master_that_is_away_is_not_missed_and_doubles_nothing_when_it_is_back(
    site: Site, figures: Figures, how: str
) -> None:
    """P2, P3: each worker has new jobs from the other master within a lease and a sweep, whatever it had asked."""
    absence = Absence(site, how)
    accepted: list[str] = []

    # Workers that have nothing to do: what they ask for is parked, and at this master as likely as at the other.
    began = absence.begin()
    accepted += launch(site, "idle.json", 90, 1)
    idle = until_all_work(site, began)
    wait_for(site.completed, lambda n: n >= 20, 300)
    absence.end()
    accepted += launch(site, "back.json", 30, 0)

    # Workers in the middle of their jobs: beats, reports, uploads and claims are under way.
    began = absence.begin()
    busy = until_all_work(site, began)
    wait_for(site.completed, lambda n: n >= len(accepted), 300)
    absence.end()
    accepted += launch(site, "again.json", 12, 0)
    wait_for(site.completed, lambda n: n >= len(accepted), 300)

    for name in (*sorted(WORKERS), "master-1", "master-2"):
        site.processes[name].send_signal(signal.SIGTERM)
        assert 0 == site.processes[name].wait(60), site.commands.log.read_text()[-4000:]
    after = asyncio.run(read_aftermath(PostgresStore(site.store), site.commands.media))
    assert [] == after.violations(accepted)
    assert {"completed": len(accepted)} == after.by_status
    attempts = max(job.attempt for job in after.jobs)
    figures(f"a master that was {how}: all work again within {idle:.1f} s of it when idle, {busy:.1f} s when busy; "
            f"most attempts of one job {attempts}")  # fmt: skip


def launch(site: Site, name: str, count: int, master: int) -> list[str]:
    """The ids of so many short jobs, all of which this master has accepted."""
    site.run("launch", "--count", str(count), "--scenario", "480p30-h264", "--duration", "2", "--delay", "0",
             "--output", name, "--master", site.urls[master])  # fmt: skip
    return [one["id"] for one in json.loads((site.commands.folder / name).read_text())]


def until_all_work(site: Site, since: float) -> float:
    """Seconds from then until each worker has been given a job; it fails when that takes longer than it may."""

    def given(tx: Tx) -> dict[str, float]:
        first = select(jobs.c.node_name, func.min(jobs.c.assigned_at)).where(jobs.c.assigned_at > since)
        return {row[0]: row[1] for row in tx.execute(first.group_by(jobs.c.node_name))}

    seen = wait_for(lambda: site.ask(given), lambda nodes: set(nodes) >= WORKERS, TAKEOVER_SECONDS + 10)
    seconds = max(seen.values()) - since
    assert seconds <= TAKEOVER_SECONDS, seen
    return seconds
