"""The clock watch: compares this master's clock with the database's, which is the same for all masters of a farm."""

from __future__ import annotations

import structlog

from reelmill.master.farm import Farm
from reelmill.service import PeriodicService
from reelmill.store.database_clock import clock_gap

log = structlog.get_logger()

_LOOK_SECONDS = 60.0
WARN_SECONDS = 1.0
DEGRADED_SECONDS = 2.0


class ClockWatch(PeriodicService):
    """Looks at the start and once a minute. Leases are judged by each master's own clock: all must agree."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(_LOOK_SECONDS)
        self._farm = farm
        self.degraded: str | None = None
        """A sentence while the clocks are so far apart that jobs may be taken from workers that are well."""

    async def start(self) -> None:
        await self.run_once()
        await super().start()

    async def run_once(self) -> float:
        """Look once; how many seconds the clocks are apart at least."""
        gap = await self._farm.store.read(lambda tx: clock_gap(tx, self._farm.clock.now))
        if gap is None or gap.least < WARN_SECONDS:
            self.degraded = None
            return 0.0
        way = "ahead of" if gap.seconds > 0 else "behind"
        words = f"this master's clock is {abs(gap.seconds):.1f} s {way} the database's; set both by NTP"
        log.warning("clocks_differ", seconds=round(gap.seconds, 3), doubt=round(gap.doubt, 3), reason=words)
        self.degraded = words if gap.least >= DEGRADED_SECONDS else None
        return gap.least
