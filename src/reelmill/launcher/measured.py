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


class RanSpending(msgspec.Struct, frozen=True):
    """As `reelmill.domain.energy.Spending`, as far as figures need it."""

    energy_joules: float | None = None
    energy_source: EnergySource | None = None
    gpu_joules: float | None = None
    cost: float | None = None
    currency: str | None = None


class SpendingFigures:
    """Adds up what jobs, or attempts, used; what nobody knows of one counts as nothing and is counted."""

    def __init__(self) -> None:
        self.total = 0
        self.joules = 0.0
        self.energy_known = Counter[EnergySource]()
        self.gpu_joules = 0.0
        self.gpu_known = 0
        self.cost = defaultdict[str, float](float)
        self.cost_known = 0

    def add(self, spent: RanSpending) -> None:
        """Take what one used."""
        self.total += 1
        if spent.energy_joules is not None and spent.energy_source is not None:
            self.joules += spent.energy_joules
            self.energy_known[spent.energy_source] += 1
        if spent.gpu_joules is not None:
            self.gpu_joules += spent.gpu_joules
            self.gpu_known += 1
        if spent.cost is not None and spent.currency is not None:
            self.cost[spent.currency] += spent.cost
            self.cost_known += 1


class MeasuredFigures:
    """Adds up what the results of a launch say, and apart from it what came to nothing."""

    def __init__(self) -> None:
        self.quality: dict[Metric, QualityFigures] = {}
        self.spent = SpendingFigures()
        """Of completed jobs, by the attempt that made the output."""
        self.lost = SpendingFigures()
        """Of attempts that came to nothing, whatever became of their jobs."""

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
