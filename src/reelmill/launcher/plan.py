"""What a launch will ask for: a pure function of its plan, so that one seed always gives the same jobs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec
from msgspec.structs import asdict

from reelmill.domain.job import EngineChoice, Priority, Queue
from reelmill.domain.request import RequestedParameters
from reelmill.domain.scenario import Scenario
from reelmill.launcher.checks import NO_CHECKS, Checks
from reelmill.launcher.distribution import Choice, Distribution, Mix, Span
from reelmill.launcher.payload import JobPayload
from reelmill.launcher.spool import Spool, read_spool
from reelmill.launcher.totals import PlanTotals, Tally

MOST_DRAWN = 100_000
"""How many jobs are drawn at most to say what a plan comes to."""

_BITRATE_STEP = 1000


class ArrivalText(msgspec.Struct, frozen=True):
    """When jobs are submitted, as the options and the workload file write it: ``"200/s"``, ``"0..500/s over 2m"``."""

    rate: str | None = None
    ramp: str | None = None
    poisson: bool = False


class Demand(msgspec.Struct, frozen=True):
    """What a node must be able to do for some of the jobs."""

    scenario: Scenario
    engine: EngineChoice = "auto"
    node_labels: dict[str, str] = {}


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of jobs. ``duration`` in seconds, ``bitrate`` in bit/s; None leaves it to the scenario.

    For a synthetic job (no ``input``) a bitrate of None is drawn from the scenario's usual range. A kind with a
    ``name`` came from a workload file; its jobs carry that name as a label.
    """

    name: str | None = None
    scenarios: Mix[Scenario]
    queues: Mix[Queue]
    priorities: Mix[Priority]
    engines: Mix[EngineChoice]
    duration: Distribution | None = None
    bitrate: Distribution | None = None
    timeout: float | None = None
    input: str | None = None
    tenant: str | None = None
    labels: dict[str, str] = {}
    node_labels: dict[str, str] = {}
    checks: Checks = NO_CHECKS
    chunk: float | None = None
    encoder: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that were read from a manifest or found as files, and written to a spool once they had been checked."""

    source: str
    """What it was made from, as it was typed."""
    spool: Spool
    totals: PlanTotals
    demands: tuple[Demand, ...]
    skipped: int = 0
    """How many inputs were left out because their output is there already."""


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to launch: ``count`` of these ``kinds``, or those of a ``manifest``.

    It can be written as JSON and read back equal; the same plan always gives the same jobs.
    """

    count: int
    seed: int
    kinds: Mix[JobKind]
    manifest: Manifest | None = None
    arrival: ArrivalText | None = None
    workload: str | None = None
    """The workload file it was read from, as it was typed."""

    @property
    def demands(self) -> list[Demand]:
        """What nodes must be able to do so that every job can run somewhere; each once."""
        if self.manifest is not None:
            return list(self.manifest.demands)
        found: list[Demand] = []
        for kind in self.kinds.choices:
            for engine in kind.engines.choices:
                found += [Demand(scenario, engine, kind.node_labels) for scenario in kind.scenarios.choices]
        return list({msgspec.json.encode(demand): demand for demand in found}.values())


def plan_jobs(plan: LaunchPlan) -> Iterator[JobPayload]:
    """The jobs of the plan, in order, one at a time.

    Those of a manifest come from its spool; ReelmillError when that is not what was written.

    Every other job takes the same seven draws whatever the plan fixes, so that fixing one choice leaves the others as
    they were. Only ``Random.random`` is used: its sequence is the one that Python promises to keep between versions.
    """
    if plan.manifest is not None:
        decode = msgspec.json.Decoder(JobPayload).decode
        yield from map(decode, read_spool(plan.manifest.spool))
        return
    draw = random.Random(plan.seed).random
    for _ in range(plan.count):
        yield draw_job(plan.kinds.at(draw()), draw)


def draw_job(kind: JobKind, draw: Callable[[], float]) -> JobPayload:
    """A job of that kind; takes six draws, always."""
    scenario = kind.scenarios.at(draw())
    queue = kind.queues.at(draw())
    priority = kind.priorities.at(draw())
    engine = kind.engines.at(draw())
    duration_share, bitrate_share = draw(), draw()
    return JobPayload(
        scenario.name,
        engine,
        queue,
        priority,
        RequestedParameters(
            duration=kind.duration.at(duration_share, 2) if kind.duration is not None else None,
            bitrate=_draw_bitrate(kind, scenario, bitrate_share),
            input=kind.input,
            timeout=kind.timeout,
            chunk=kind.chunk,
            encoder=kind.encoder,
            **asdict(kind.checks),
        ),
        kind.tenant,
        kind.node_labels,
        kind.labels,
    )


def _draw_bitrate(kind: JobKind, scenario: Scenario, share: float) -> int | None:
    if not scenario.follows_bitrate:
        return None
    if kind.bitrate is not None:
        spread = kind.bitrate
    elif kind.input is None:
        spread = Span(scenario.bitrate_low, scenario.bitrate_high)
    else:
        return None
    bitrate = int(spread.at(share, 0))
    if spread.low == spread.high or isinstance(spread, Choice):
        return bitrate
    bitrate = max(bitrate // _BITRATE_STEP * _BITRATE_STEP, int(spread.low))
    if isinstance(spread, Span):
        return bitrate
    low, high = scenario.bitrate_limits
    return min(max(bitrate, low), high)


def total_plan(plan: LaunchPlan, most: int = MOST_DRAWN) -> PlanTotals:
    """What the plan comes to, in constant memory; of more than ``most`` jobs, scaled from the first of them.

    A manifest was counted when it was read.
    """
    if plan.manifest is not None:
        return plan.manifest.totals
    tally = Tally()
    for job in islice(plan_jobs(plan), most):
        tally.add(job)
    return tally.totals(plan.count)
