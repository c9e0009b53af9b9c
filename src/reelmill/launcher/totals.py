"""What the jobs of a plan come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from reelmill.domain.scenario import find_scenario
from reelmill.launcher.payload import KIND_LABEL, JobPayload


class PlanTotals(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of each sort, the most first, and how long all their media is.

    Of a large plan a part is counted, and everything but ``count`` is scaled from it: then it is not exact.
    """

    count: int
    is_exact: bool = True
    media_seconds: float | None
    """None when the length of an input decides."""
    asked_bytes: float | None
    """Size of all outputs at the bitrates that are asked for; None when the length of an input decides."""
    scenarios: dict[str, int]
    queues: dict[str, int]
    priorities: dict[str, int]
    engines: dict[str, int]
    kinds: dict[str, int]
    """Only those that have a name, from a workload file."""
    scenario_seconds: dict[str, float | None]
    """Media seconds of each scenario; None as for ``media_seconds``."""


class Tally:
    """Counts jobs, one at a time, in constant memory."""

    def __init__(self) -> None:
        self.count = 0
        self._scenarios, self._queues, self._priorities = Counter[str](), Counter[str](), Counter[str]()
        self._engines, self._kinds = Counter[str](), Counter[str]()
        self._seconds = defaultdict[str, float](float)
        self._bits = 0.0
        self._open = set[str]()
        """Scenarios in which an input decides about a length."""

    def add(self, job: JobPayload) -> None:
        """Count one more."""
        self.count += 1
        self._scenarios[job.scenario] += 1
        self._queues[job.queue] += 1
        self._priorities[job.priority] += 1
        self._engines[job.engine] += 1
        if KIND_LABEL in job.labels:
            self._kinds[job.labels[KIND_LABEL]] += 1
        length, bitrate = job.parameters.duration, job.parameters.bitrate
        if length is None:
            self._open.add(job.scenario)
        else:
            self._seconds[job.scenario] += length
            self._bits += length * (
                bitrate if isinstance(bitrate, int) else find_scenario(job.scenario).bitrate_default
            )

    def totals(self, count: int | None = None) -> PlanTotals:
        """What was counted, or what ``count`` jobs come to of which these are a fair part."""
        whole = self.count if count is None else count
        factor = whole / self.count if self.count else 1.0

        def scaled(counts: Mapping[str, int]) -> dict[str, int]:
            ordered = sorted(counts.items(), key=lambda item: -item[1])
            return {name: round(number * factor) for name, number in ordered}

        seconds = {name: None if name in self._open else self._seconds[name] * factor for name in self._scenarios}
        return PlanTotals(
            count=whole,
            is_exact=whole == self.count,
            media_seconds=None if self._open else sum(self._seconds.values()) * factor,
            asked_bytes=None if self._open else self._bits * factor / 8,
            scenarios=scaled(self._scenarios),
            queues=scaled(self._queues),
            priorities=scaled(self._priorities),
            engines=scaled(self._engines),
            kinds=scaled(self._kinds),
            scenario_seconds=seconds,
        )
