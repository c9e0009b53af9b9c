"""What was measured of the outputs of a launch: their quality, and what they took in energy and money."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from reelmill.domain.energy import EnergySource
from reelmill.domain.quality import Metric
from reelmill.launcher.sample import Sample


class RanQuality(msgspec.Struct, frozen=True):
    """As `reelmill.domain.quality.Quality`, as far as figures need it."""

    metric: Metric
    mean: float | None = None
    p5: float | None = None
    worst: float | None = None


class QualityFigures(msgspec.Struct, kw_only=True):
    """The scores of one metric, a value for each output that was measured; and how many were not."""

    metric: Metric
    not_measured: int = 0
    mean: Sample = msgspec.field(default_factory=Sample)
    p5: Sample = msgspec.field(default_factory=Sample)
    worst: Sample = msgspec.field(default_factory=Sample)


class MeasuredFigures:
    """Adds up what the results of a launch say; what they do not say counts as nothing and is counted."""

    def __init__(self) -> None:
        self.quality: dict[Metric, QualityFigures] = {}
        self.joules = 0.0
        self.energy_jobs = Counter[EnergySource]()
        self.cost = defaultdict[str, float](float)
        self.cost_jobs = 0

    def add_quality(self, found: RanQuality | None) -> None:
        """Take what one output was measured to be."""
        if found is None:
            return
        figures = self.quality.setdefault(found.metric, QualityFigures(metric=found.metric))
        if found.mean is None or found.p5 is None or found.worst is None:
            figures.not_measured += 1
            return
        figures.mean.add(found.mean)
        figures.p5.add(found.p5)
        figures.worst.add(found.worst)

    def add_spending(
        self, joules: float | None, source: EnergySource | None, cost: float | None, currency: str | None
    ) -> None:
        """Take what one completed job used."""
        if joules is not None and source is not None:
            self.joules += joules
            self.energy_jobs[source] += 1
        if cost is not None and currency is not None:
            self.cost[currency] += cost
            self.cost_jobs += 1
