"""The report of a launch: its figures in one shape, for JSON as it is, for HTML and JUnit to be written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10

import msgspec

from reelmill.domain.quality import Metric
from reelmill.launcher.figures import FailureKind, LaunchFigures, NodeFigures, ScenarioFigures
from reelmill.launcher.measured import QualityFigures, SpendingFigures
from reelmill.launcher.sample import Sample
from reelmill.launcher.threshold import Threshold, Verdict, judge

FORMAT = "reelmill-report/1"

_BINS = 60
_HISTOGRAM_BINS = 24
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds that people count in."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a value is spread over jobs; percentiles are nearest-rank."""

    n: int
    min: float
    p10: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    mean: float


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """``counts[i]`` values lie from ``low + i * step`` up to the next; ``above`` lie beyond the last."""

    low: float
    step: float
    counts: list[int]
    above: int


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs ended in each ``step`` seconds, beginning when the first was accepted."""

    begins_at: datetime
    step: float
    completed: list[int]
    failed: list[int]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: jobs by each choice. ``media_seconds`` is of the jobs that say how long they are to be."""

    scenarios: dict[str, int]
    queues: dict[str, int]
    priorities: dict[str, int]
    engines: dict[str, int]
    labels: dict[str, int]
    media_seconds: float
    media_unknown: int


class ScenarioReport(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of one scenario. Times in seconds, ``speed`` in media seconds per second; of completed jobs."""

    name: str
    total: int
    counts: dict[str, int]
    run_time: Spread | None
    speed: Spread | None
    media_seconds: float
    cpu_seconds: float
    size_bytes: int


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of which one metric was asked: the spread of each figure over those that were measured."""

    metric: Metric
    not_measured: int
    mean: Spread | None
    p5: Spread | None
    worst: Spread | None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What the completed jobs used, as far as it is known: of ``energy_jobs`` by source, of ``cost_jobs`` in money."""

    energy_joules: float | None
    energy_jobs: dict[str, int]
    gpu_joules: float | None
    gpu_jobs: int
    cost: dict[str, float]
    cost_jobs: int


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts used that came to nothing, as far as it is known; of ``unmeasured`` neither energy nor model is."""

    attempts: int
    unmeasured: int
    energy_joules: float | None
    energy_attempts: dict[str, int]
    gpu_joules: float | None
    gpu_attempts: int
    cost: dict[str, float]
    cost_attempts: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say of a launch. Times in seconds, moments in RFC 3339, sizes in bytes.

    ``wall_seconds`` is from the first start to the last end, ``jobs_per_second`` counts completed jobs over it.
    ``passed`` is None when no thresholds were asked for.
    """

    format: str = FORMAT
    written_at: datetime
    version: str
    launch_id: str
    name: str | None
    command: str | None
    created_at: datetime | None
    total: int
    open: int
    counts: dict[str, int]
    retried: int
    rejected: int | None
    asked: Asked
    wall_seconds: float | None
    jobs_per_second: float | None
    media_seconds: float
    cpu_seconds: float
    size_bytes: int
    queue_wait: Spread | None
    run_time: Spread | None
    speed: Spread | None
    submit_latency: Spread | None
    quality: list[QualityReport]
    spent: Spent
    lost: Lost
    throughput: Throughput | None
    wait_histogram: Histogram | None
    run_histogram: Histogram | None
    scenarios: list[ScenarioReport]
    nodes: list[NodeFigures]
    failures: list[FailureKind]
    thresholds: list[Verdict]
    passed: bool | None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Which launch a report is about, and what only the caller knows of it."""

    launch_id: str
    name: str | None = None
    created_at: datetime | None = None
    command: str | None = None


def make_report(
    subject: Subject, figures: LaunchFigures, thresholds: Sequence[Threshold], *, version: str, now: datetime
) -> Report:
    """The report of a launch with these figures."""
    scenarios = sorted(figures.scenarios.values(), key=lambda one: (-one.total, one.name))
    verdicts = judge(thresholds, figures)
    return Report(
        written_at=now,
        version=version,
        launch_id=subject.launch_id,
        name=subject.name,
        command=subject.command,
        created_at=subject.created_at,
        total=figures.total,
        open=figures.open,
        counts=_by_number(figures.counts),
        retried=figures.retried,
        rejected=figures.submit.rejected if figures.submit is not None else None,
        asked=_asked(figures),
        wall_seconds=figures.wall_seconds,
        jobs_per_second=figures.per_second,
        media_seconds=sum(one.media_seconds for one in scenarios),
        cpu_seconds=sum(one.cpu_seconds for one in scenarios),
        size_bytes=sum(one.size_bytes for one in scenarios),
        queue_wait=spread(figures.queue_wait),
        run_time=spread(figures.run_time),
        speed=spread(figures.speed),
        submit_latency=spread(figures.submit.latency) if figures.submit and figures.submit.latency else None,
        quality=[_quality(one) for one in figures.measured.quality.values()],
        spent=_spent(figures.measured.spent),
        lost=_lost(figures.measured.lost),
        throughput=_throughput(figures),
        wait_histogram=histogram(figures.queue_wait),
        run_histogram=histogram(figures.run_time),
        scenarios=[_scenario(one) for one in scenarios],
        nodes=sorted(figures.nodes.values(), key=lambda node: (-node.completed, node.name)),
        failures=sorted(figures.failures.values(), key=lambda kind: -kind.count),
        thresholds=verdicts,
        passed=all(verdict.passed for verdict in verdicts) if verdicts else None,
    )


def _by_number(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def _asked(figures: LaunchFigures) -> Asked:
    scenarios = Counter({name: one.total for name, one in figures.scenarios.items()})
    return Asked(
        scenarios=_by_number(scenarios),
        queues=_by_number(figures.queues),
        priorities=_by_number(figures.priorities),
        engines=_by_number(figures.engines),
        labels=_by_number(figures.labels),
        media_seconds=figures.media_asked,
        media_unknown=figures.media_unknown,
    )


def _quality(one: QualityFigures) -> QualityReport:
    return QualityReport(
        metric=one.metric,
        not_measured=one.not_measured,
        mean=spread(one.mean),
        p5=spread(one.p5),
        worst=spread(one.worst),
    )


def _spent(spent: SpendingFigures) -> Spent:
    return Spent(
        energy_joules=_joules(spent),
        energy_jobs=_by_source(spent),
        gpu_joules=_gpu_joules(spent),
        gpu_jobs=spent.gpu_known,
        cost=_cost(spent),
        cost_jobs=spent.cost_known,
    )


def _lost(lost: SpendingFigures) -> Lost:
    return Lost(
        attempts=lost.total,
        unmeasured=lost.total - lost.energy_known.total(),
        energy_joules=_joules(lost),
        energy_attempts=_by_source(lost),
        gpu_joules=_gpu_joules(lost),
        gpu_attempts=lost.gpu_known,
        cost=_cost(lost),
        cost_attempts=lost.cost_known,
    )


def _joules(spent: SpendingFigures) -> float | None:
    return round(spent.joules, 3) if spent.energy_known else None


def _gpu_joules(spent: SpendingFigures) -> float | None:
    return round(spent.gpu_joules, 3) if spent.gpu_known else None


def _by_source(spent: SpendingFigures) -> dict[str, int]:
    return _by_number(Counter({str(source): n for source, n in spent.energy_known.items()}))


def _cost(spent: SpendingFigures) -> dict[str, float]:
    return {currency: round(cost, 6) for currency, cost in spent.cost.items()}


def _scenario(one: ScenarioFigures) -> ScenarioReport:
    return ScenarioReport(
        name=one.name,
        total=one.total,
        counts=_by_number(one.counts),
        run_time=spread(one.run_time),
        speed=spread(one.speed),
        media_seconds=one.media_seconds,
        cpu_seconds=one.cpu_seconds,
        size_bytes=one.size_bytes,
    )


def spread(sample: Sample) -> Spread | None:
    """How the values are spread; None when there are none."""
    if not len(sample):
        return None
    p10, p50, p90, p95, p99 = (sample.percentile(share) for share in (0.1, 0.5, 0.9, 0.95, 0.99))
    return Spread(
        n=len(sample),
        min=sample.least,
        p10=p10,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        max=sample.most,
        mean=sample.mean,
    )


def step_of(span: float, bins: int) -> float:
    """A round width, of which at most ``bins`` cover the span: 1, 2 or 5 times a power of ten, or as clocks count."""
    least = max(span / bins, 1e-3)
    if least > _CLOCK_STEPS[-1]:
        return ceil(least / _CLOCK_STEPS[-1]) * float(_CLOCK_STEPS[-1])
    if least > 1:
        return float(next(step for step in _CLOCK_STEPS if step >= least))
    power = 10.0 ** floor(log10(least))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least * (1 - 1e-9))


def histogram(sample: Sample) -> Histogram | None:
    """The values in bins of a round width up to the 99th percentile; a few far beyond do not squeeze the others."""
    if not len(sample):
        return None
    high = sample.most
    if high > 2 * sample.percentile(0.99) > 0:
        high = sample.percentile(0.99)
    step = step_of(max(high - sample.least, high / _HISTOGRAM_BINS), _HISTOGRAM_BINS)
    low = floor(sample.least / step) * step
    counts = [0] * (int((high - low) / step) + 1)
    above = 0
    for value in sample.sorted():
        place = int((value - low) / step)
        if place < len(counts):
            counts[place] += 1
        else:
            above += 1
    return Histogram(low=low, step=step, counts=counts, above=above)


def _throughput(figures: LaunchFigures) -> Throughput | None:
    if figures.last_ended is None or not len(figures.created):
        return None
    begin = figures.created.least
    span = max(figures.last_ended - begin, 0.0)
    step = step_of(span, _BINS)

    def count(ends: Sample) -> list[int]:
        counts = [0] * (int(span / step) + 1)
        for moment in ends.sorted():
            counts[min(max(int((moment - begin) / step), 0), len(counts) - 1)] += 1
        return counts

    return Throughput(
        begins_at=datetime.fromtimestamp(begin, UTC),
        step=step,
        completed=count(figures.completed_at),
        failed=count(figures.failed_at),
    )


def encode_report(report: Report) -> bytes:
    """The report as JSON; the fields are those of `Report`."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
