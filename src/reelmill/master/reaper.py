"""The reaper: takes jobs from workers that stopped answering, and forgets nodes that are long gone."""

from __future__ import annotations

import asyncio

import structlog

from reelmill.master.farm import Farm
from reelmill.service import PeriodicService
from reelmill.store.attempts import expire_leases, rebase_times, void_all_leases
from reelmill.store.nodes import forget_gone

log = structlog.get_logger()

SWEEP_SECONDS = 5.0
FORGET_NODE_SECONDS = 24 * 3600.0
CLOCK_STEP_SECONDS = 2.0
_AT_ONCE = 500


class Reaper(PeriodicService):
    """Sweeps every five seconds.

    After a start it first waits one lease, because workers could not renew while the master was away; unless
    ``workers_died_too``, as in a farm that is one process: then every lease is void at once.
    """

    def __init__(self, farm: Farm, *, workers_died_too: bool) -> None:
        super().__init__(SWEEP_SECONDS)
        self._farm = farm
        self._workers_died_too = workers_died_too
        self._not_before = 0.0
        self._clocks: tuple[float, float] | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._workers_died_too:
            await self._farm.change(void_all_leases)
            await self.run_once()
        else:
            self._not_before = loop.time() + self._farm.lease_seconds
        await super().start()

    async def run_once(self) -> int:
        """Sweep once; how many leases had run out."""
        await self._look_at_the_clock()
        if asyncio.get_running_loop().time() < self._not_before:
            return 0
        expired = 0
        while found := await self._farm.change(lambda tx, rules: expire_leases(tx, _AT_ONCE, rules)):
            expired += found
            if found < _AT_ONCE:
                break
        if expired:
            log.warning("leases_expired", jobs=expired)
            self._farm.metrics.expired.inc(expired)
        await self._farm.change(lambda tx, rules: forget_gone(tx, rules.now - FORGET_NODE_SECONDS))
        return expired

    async def _look_at_the_clock(self) -> None:
        """Leases end by the time of day. When that was set, or the machine slept, no worker is to blame: wait."""
        wall_now, loop_now = self._farm.clock.now(), asyncio.get_running_loop().time()
        wall, steady = self._clocks or (wall_now, loop_now)
        step = (wall_now - wall) - (loop_now - steady)
        is_first = self._clocks is None  # nobody saw a step while no master ran
        if abs(step) >= CLOCK_STEP_SECONDS:
            log.warning("clock_stepped", seconds=round(step, 1))
            self._not_before = loop_now + self._farm.lease_seconds
        if is_first or step <= -CLOCK_STEP_SECONDS:
            lease, backoff = self._farm.lease_seconds, self._farm.policy.cap_seconds
            await self._farm.change(lambda tx, rules: rebase_times(tx, lease, backoff, rules.now))
        self._clocks = (wall_now, loop_now)  # not before the times are right: a refused commit is tried again
