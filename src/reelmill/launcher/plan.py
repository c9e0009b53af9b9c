"""What a launch will ask for: a pure function of its plan, so that one seed always gives the same jobs."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import msgspec

from reelmill.domain.job import EngineChoice, Priority, Queue
from reelmill.domain.request import RequestedParameters
from reelmill.domain.scenario import Scenario
from reelmill.domain.tenant import DEFAULT_TENANT

T = TypeVar("T")

_BITRATE_STEP = 1000


class Span(msgspec.Struct, frozen=True):
    """All values from ``low`` to ``high``, both included."""

    low: float
    high: float

    def at(self, share: float, digits: int) -> float:
        """The value at ``share`` (0 to 1) of the way, rounded, and never outside; a span of one value is that value."""
        if self.low == self.high:
            return self.low
        return min(max(round(self.low + (self.high - self.low) * share, digits), self.low), self.high)


class Mix(msgspec.Struct, Generic[T], frozen=True):
    """Choices, each with its share: ``bounds`` are the running sums of the weights."""

    choices: tuple[T, ...]
    bounds: tuple[float, ...]

    def at(self, share: float) -> T:
        """The choice at ``share`` (0 up to, not including, 1) of all weights."""
        return self.choices[bisect_right(self.bounds, share * self.bounds[-1])]


def mix(choices: Sequence[T], weights: Sequence[float] | None = None) -> Mix[T]:
    """A mix of these choices, in equal shares when no weights are given."""
    return Mix(tuple(choices), tuple(accumulate(weights or [1.0] * len(choices))))


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to launch. ``duration`` in seconds, ``bitrate`` in bit/s; None leaves it to the scenario.

    For a synthetic job (no ``input``) a bitrate of None is drawn from the scenario's usual range.
    """

    count: int
    seed: int
    scenarios: Mix[Scenario]
    queues: Mix[Queue]
    priorities: Mix[Priority]
    engine: EngineChoice = "auto"
    duration: Span | None = None
    bitrate: Span | None = None
    input: str | None = None
    tenant: str = DEFAULT_TENANT
    node_labels: dict[str, str] = {}


class JobPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job as it is asked for; every choice that was drawn is written out."""

    scenario: str
    engine: EngineChoice
    queue: Queue
    priority: Priority
    parameters: RequestedParameters
    tenant: str = DEFAULT_TENANT
    node_labels: dict[str, str] = {}


def plan_jobs(plan: LaunchPlan) -> Iterator[JobPayload]:
    """The jobs of the plan, in order, one at a time.

    Every job takes the same five draws whatever the plan fixes, so that fixing one choice leaves the others as they
    were. Only ``Random.random`` is used: its sequence is the one that Python promises to keep between versions.
    """
    draw = random.Random(plan.seed).random
    for _ in range(plan.count):
        scenario = plan.scenarios.at(draw())
        queue = plan.queues.at(draw())
        priority = plan.priorities.at(draw())
        duration_share, bitrate_share = draw(), draw()
        yield JobPayload(
            scenario.name,
            plan.engine,
            queue,
            priority,
            RequestedParameters(
                duration=plan.duration.at(duration_share, 2) if plan.duration else None,
                bitrate=_draw_bitrate(plan, scenario, bitrate_share),
                input=plan.input,
            ),
            plan.tenant,
            plan.node_labels,
        )


def _draw_bitrate(plan: LaunchPlan, scenario: Scenario, share: float) -> int | None:
    if plan.bitrate is not None:
        span = plan.bitrate
    elif plan.input is None:
        span = Span(scenario.bitrate_low, scenario.bitrate_high)
    else:
        return None
    bitrate = int(span.at(share, 0))
    return bitrate if span.low == span.high else max(bitrate // _BITRATE_STEP * _BITRATE_STEP, int(span.low))


class PlanTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan comes to: how many jobs of each kind, and how long all the media is together."""

    count: int
    media_seconds: float | None
    """None when the length of the input decides."""
    scenarios: Counter[str]
    queues: Counter[str]
    priorities: Counter[str]


def total_plan(plan: LaunchPlan) -> PlanTotals:
    """Draw the whole plan and count it, in constant memory."""
    scenarios, queues, priorities = Counter[str](), Counter[str](), Counter[str]()
    seconds: float | None = 0.0
    for job in plan_jobs(plan):
        scenarios[job.scenario] += 1
        queues[job.queue] += 1
        priorities[job.priority] += 1
        length = job.parameters.duration
        seconds = None if seconds is None or length is None else seconds + length
    return PlanTotals(
        count=plan.count, media_seconds=seconds, scenarios=scenarios, queues=queues, priorities=priorities
    )
