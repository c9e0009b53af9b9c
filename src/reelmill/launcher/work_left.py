"""How much work of a launch is left: as many CPU units for as many seconds of media, or just jobs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from reelmill.domain.scenario import known_scenarios
from reelmill.errors import ReelmillError
from reelmill.launcher.answers import LaunchState, OpenJob, OpenJobs
from reelmill.launcher.client import MasterClient
from reelmill.launcher.eta import Band, Eta, format_band
from reelmill.launcher.progress import format_rate, format_seconds

LOOK_SECONDS = 3.0
MOST_OPEN = 5_000
"""With more open jobs than this they are only counted: one is then like the other."""

_STALLED_SECONDS = 60.0
_OPEN = "queued,assigned,running,retrying,paused"


def weigh(jobs: Sequence[OpenJob]) -> float:
    """The work in these jobs, in unit seconds of media; a job whose length is its input's counts as a usual one."""
    known = [job.parameters.duration for job in jobs if job.parameters.duration is not None]
    usual = fmean(known) if known else 1.0
    return sum(
        _cost(job.scenario)
        * (usual if job.parameters.duration is None else job.parameters.duration)
        * (1 - min(max(job.progress, 0.0), 100.0) / 100)
        for job in jobs
    )


def _cost(scenario: str) -> int:
    found = known_scenarios().get(scenario)
    return found.cost if found is not None else 1


class WorkLeft:
    """Watches the work of one launch get less. ``now`` is in seconds of any clock that only goes forward."""

    def __init__(self, client: MasterClient) -> None:
        self._client = client
        self._jobs, self._work = Eta(), Eta()
        self._next = 0.0
        self._slowest = 0.0

    async def look(self, state: LaunchState, now: float) -> None:
        """Take the state into account, and now and then look at the open jobs themselves."""
        self._jobs.note(now, state.open)
        if now < self._next or not 0 < state.open <= MOST_OPEN:
            return
        self._next = now + LOOK_SECONDS
        params = {"launch": state.id, "status": _OPEN, "fields": ",".join(OpenJob.__struct_fields__)}
        try:
            jobs = (await self._client.get("/jobs", OpenJobs, {**params, "limit": MOST_OPEN})).jobs
        except ReelmillError:  # the next look may find more; the counts are there meanwhile
            return
        self._work.note(now, weigh(jobs))
        self._slowest = max((job.eta or 0.0 for job in jobs), default=0.0)

    def band(self) -> Band | None:
        """Between how many and how many seconds the launch is done; None when nothing is known yet."""
        band = self._work.band() or self._jobs.band()
        if band is None:
            return None
        return Band(max(band.low, self._slowest), max(band.high, self._slowest))

    def describe(self) -> str:
        """``"done in 12 to 19 min, 3.1 jobs/s"``, or that nothing gets done; empty while nothing is known."""
        stalled = self._jobs.stalled_seconds
        band = self.band()
        if stalled >= _STALLED_SECONDS and band is None:
            return f"nothing got done for {format_seconds(stalled)}"
        parts = [f"done in {format_band(band)}"] if band is not None else []
        rate = self._jobs.per_second
        return ", ".join([*parts, format_rate(rate)] if rate else parts)
