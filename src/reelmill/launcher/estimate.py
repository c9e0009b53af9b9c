"""What a plan will cost on this farm, before anything is submitted: from what the farm did lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from reelmill.domain.quantity import format_size
from reelmill.domain.scenario import known_scenarios
from reelmill.errors import InvalidField, ReelmillError
from reelmill.launcher.answers import NodeState, NodeStates
from reelmill.launcher.client import MasterClient
from reelmill.launcher.eta import Band, format_band
from reelmill.launcher.figures import RanResult
from reelmill.launcher.progress import format_count
from reelmill.launcher.sample import Sample
from reelmill.launcher.summary import table
from reelmill.launcher.totals import PlanTotals

NEWEST = 50
"""So many completed jobs of each scenario are its history."""

_LOW, _HIGH = 0.1, 0.9
_WAITING = ("queued", "assigned", "running", "retrying")
_SHOWN = 4


class PastJob(msgspec.Struct, frozen=True):
    """A completed job, as far as an estimate needs it."""

    started_at: datetime
    completed_at: datetime
    result: RanResult


class PastJobs(msgspec.Struct, frozen=True):
    """A page of them."""

    jobs: list[PastJob]


class WaitingCount(msgspec.Struct, frozen=True):
    """How many jobs of one sort there are."""

    status: str
    scenario: str
    count: int


class WaitingCounts(msgspec.Struct, frozen=True):
    """How many of each sort."""

    counts: list[WaitingCount]


class History(msgspec.Struct, frozen=True):
    """How the newest jobs of a scenario ran: per second of media its CPU seconds, bytes and encoding; ``rest`` per job.

    ``media`` is how long they were; all times in seconds.
    """

    cpu: Sample
    size: Sample
    encode: Sample
    rest: Sample
    media: Sample


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be expected; None where nothing is known. Times in seconds, sizes in bytes.

    ``without_history`` and ``without_length`` name the scenarios that are not in the bands. ``waiting`` jobs go first
    in the worst case and are in ``done_in``, but for ``waiting_unknown`` of them. ``offline`` says why no farm was
    asked.
    """

    cpu_seconds: Band | None = None
    size: Band | None = None
    asked_bytes: float | None = None
    done_in: Band | None = None
    nodes: int = 0
    units: int = 0
    waiting: int = 0
    waiting_unknown: int = 0
    known: tuple[str, ...] = ()
    without_history: tuple[str, ...] = ()
    without_length: tuple[str, ...] = ()
    offline: str | None = None


async def estimate(client: MasterClient | None, totals: PlanTotals) -> Estimate:
    """What these jobs will cost on the client's farm; without a client, or a farm that answers, what can be said."""
    if client is None:
        return Estimate(asked_bytes=totals.asked_bytes, offline="no master was asked")
    try:
        nodes = (await client.get("/nodes", NodeStates)).nodes
        waiting: dict[str, int] = {}
        for one in (await client.get("/jobs/summary", WaitingCounts)).counts:
            if one.status in _WAITING:
                waiting[one.scenario] = waiting.get(one.scenario, 0) + one.count
        histories = {name: await _read_history(client, name) for name in {*totals.scenarios, *waiting}}
    except ReelmillError as error:
        return Estimate(asked_bytes=totals.asked_bytes, offline=str(error))
    return make_estimate(totals, {name: past for name, past in histories.items() if len(past.media)}, nodes, waiting)


async def _read_history(client: MasterClient, scenario: str) -> History:
    asked = {"scenario": scenario, "status": "completed", "order": "desc", "limit": NEWEST}
    fields = {"fields": "started_at,completed_at,result"}
    try:
        return make_history((await client.get("/jobs", PastJobs, {**asked, **fields})).jobs)
    except InvalidField:  # the farm does not know the scenario, and will say so of the jobs
        return make_history(())


def make_history(jobs: Sequence[PastJob]) -> History:
    """How these jobs ran."""
    past = History(Sample(), Sample(), Sample(), Sample(), Sample())
    for job in jobs:
        seconds = job.result.duration
        if seconds <= 0:
            continue
        past.media.add(seconds)
        past.cpu.add(job.result.cpu_seconds / seconds)
        past.size.add(job.result.size_bytes / seconds)
        past.encode.add(job.result.encode_seconds / seconds)
        run = (job.completed_at - job.started_at).total_seconds()
        past.rest.add(max(run - job.result.encode_seconds, 0.0))
    return past


def make_estimate(
    totals: PlanTotals, histories: Mapping[str, History], nodes: Sequence[NodeState], waiting: Mapping[str, int]
) -> Estimate:
    """What the plan comes to with these histories, on the nodes that take jobs, behind those that wait there."""
    able = [node.capabilities.units for node in nodes if node.status == "online" and node.trouble is None]
    largest = max(able, default=0)
    cpu, size, work = Band(0, 0), Band(0, 0), Band(0, 0)
    known: list[str] = []
    for name, count in totals.scenarios.items():
        past, seconds = histories.get(name), totals.scenario_seconds.get(name)
        if past is None or seconds is None:
            continue
        known.append(name)
        cpu = _add(cpu, past.cpu, seconds)
        size = _add(size, past.size, seconds)
        work = _add_work(work, name, past, largest, count=count, seconds=seconds)
    ahead = Band(0, 0)
    for name, count in waiting.items():
        if (past := histories.get(name)) is not None:
            ahead = _add_work(ahead, name, past, largest, count=count, seconds=count * past.media.percentile(0.5))
    units = sum(able)
    done_in = None
    if known and units:  # at best the other jobs give way, at worst all of them go first
        done_in = Band(work.low / units, (work.high + ahead.high) / units)
    return Estimate(
        cpu_seconds=cpu if known else None,
        size=size if known else None,
        asked_bytes=totals.asked_bytes,
        done_in=done_in,
        nodes=len(able),
        units=units,
        waiting=sum(waiting.values()),
        waiting_unknown=sum(count for name, count in waiting.items() if name not in histories),
        known=tuple(known),
        without_history=tuple(name for name in totals.scenarios if name not in histories),
        without_length=tuple(name for name in totals.scenarios if totals.scenario_seconds.get(name) is None),
    )


def _add(band: Band, per_second: Sample, seconds: float) -> Band:
    return Band(
        band.low + per_second.percentile(_LOW) * seconds,
        band.high + per_second.percentile(_HIGH) * seconds,
    )


def _add_work(band: Band, scenario: str, past: History, largest: int, *, count: int, seconds: float) -> Band:
    """Unit seconds: a job holds as many units as its scenario costs, or all of the largest node."""
    found = known_scenarios().get(scenario)
    units = min(found.cost if found is not None else 1, max(largest, 1))
    low, high = (past.encode.percentile(at) * seconds + past.rest.percentile(at) * count for at in (_LOW, _HIGH))
    return Band(band.low + units * low, band.high + units * high)


def describe_estimate(estimate: Estimate) -> list[str]:
    """The estimate as lines for a terminal."""
    rows: list[tuple[str, str]] = []
    if estimate.cpu_seconds is not None:
        rows.append(("CPU time", format_band(estimate.cpu_seconds)))
    if estimate.size is not None:
        low, high = format_size(estimate.size.low), format_size(estimate.size.high)
        rows.append(("output", f"about {high}" if low == high else f"{low} to {high}"))
    elif estimate.asked_bytes is not None:
        rows.append(("output", f"{format_size(estimate.asked_bytes)} at the bitrates that are asked for"))
    rows += _describe_end(estimate)
    if estimate.offline is not None:
        rows.append(("estimate", f"without a farm there is no more to say: {estimate.offline}"))
    elif not estimate.known and not estimate.without_length:
        rows.append(("history", "no history yet: this farm has completed no such jobs"))
    elif estimate.without_history:
        rows.append(("history", f"none yet of {_list(estimate.without_history)}: not in these figures"))
    if estimate.without_length:
        rows.append(("length", f"the inputs decide how long {_list(estimate.without_length)} is: not in these figures"))
    return table(rows) if rows else []


def _describe_end(estimate: Estimate) -> list[tuple[str, str]]:
    if estimate.offline is not None:
        return []
    if not estimate.nodes:
        return [("done in", "no node takes jobs now")]
    if estimate.done_in is None:
        return []
    nodes, units = format_count(estimate.nodes, "node"), format_count(estimate.units, "CPU unit")
    behind = f", with {format_count(estimate.waiting, 'job')} there already" if estimate.waiting else ""
    if estimate.waiting_unknown:
        behind += f" (of {estimate.waiting_unknown:,} nothing is known)"
    return [("done in", f"{format_band(estimate.done_in)} on {nodes} with {units}{behind}")]


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
