"""Breaks that the simulation catches, each with the first seed whose farm comes to harm by it."""

from __future__ import annotations

from typing import NamedTuple

from tests.breaks.broken import Break

_TESTS = "tests/simulation/test_simulation.py"
_CAUGHT_BY = "test_a_seed_that_has_caught_a_break_finds_nothing_now"


class _Simulated(NamedTuple):
    seed: int
    broken: Break


def _simulated(seed: int, name: str, file: str, old: str, new: str) -> _Simulated:
    tests = (_TESTS, "-k", f"{_CAUGHT_BY} and _{seed}_")
    return _Simulated(seed, Break(name, f"src/reelmill/{file}.py", old, new, tests, _CAUGHT_BY))


_BREAKS = [
    _simulated(
        0,
        "an old attempt's word counts",
        "store/attempts",
        "if job is None or job.attempt != said.key.attempt or job.node_id not in (None, said.node_id):",
        "if job is None:",
    ),
    _simulated(
        0,
        "leases are not renewed while draining",
        "worker/agent",
        "asked_at = asyncio.get_running_loop().time()\n        holding",
        "asked_at = asyncio.get_running_loop().time()\n        if self._draining:\n            return\n        holding",
    ),
    _simulated(
        0,
        "after a start the reaper waits for nobody",
        "master/reaper",
        "self._not_before = loop.time() + self._farm.lease_seconds",
        "self._not_before = loop.time()",
    ),
    _simulated(
        0,
        "an output is published whatever the verdict",
        "worker/attempt",
        "if not await self._conclude(Settle(result)):",
        "if await self._conclude(Settle(result)) is None:",
    ),
    _simulated(
        0,
        "a parked claim loses its grants",
        "master/scheduler",
        "parked.served.set_result(grants)",
        "parked.served.set_result([])",
    ),
    _simulated(
        0,
        "the folder of an attempt that runs is garbage",
        "store/attempts",
        "if held.get(key.job_id, key.attempt) != key.attempt]",
        "if key.job_id in held]",
    ),
    _simulated(
        0,
        "a worker does not end what it cannot renew",
        "worker/agent",
        "_FENCE_SHARE = 2 / 3",
        "_FENCE_SHARE = 20",
    ),
    _simulated(
        0,
        "nobody finishes what a lost worker had settled",
        "store/attempts",
        '{"now": rules.now}).scalars().all()), rules):\n        if job.result is None:',
        '{"now": 0.0}).scalars().all()), rules):\n        if job.result is None:',
    ),
    _simulated(
        0,
        "a clock that was set while no master ran is believed",
        "master/reaper",
        "if is_first or step",
        "if step",
    ),
    _simulated(
        0,
        "a clock that is set forward kills workers",
        "master/reaper",
        "if abs(step) >= CLOCK_STEP_SECONDS:",
        "if -step >= CLOCK_STEP_SECONDS:",
    ),
    _simulated(
        0,
        "a node is not told of a canceled job",
        "master/orders",
        '    if before.is_held:\n        await _order(farm, before, "drop")',
        '    if before.is_held and before.status == "paused":\n        await _order(farm, before, "drop")',
    ),
    _simulated(
        0,
        "a node is not told of a paused job",
        "master/orders",
        '(action == "pause" or action == "resume")',
        'action == "resume"',
    ),
    _simulated(
        0,
        "a worker that ends gives nothing back",
        "store/attempts",
        '_take_back(tx, _held_by(tx, node_id), "its worker was stopped", rules)',
        "_held_by(tx, node_id)",
    ),
    _simulated(
        0,
        "any lane may be first",
        "store/claim",
        "first = heapq.heappop(self._heads)",
        "first = self._heads.pop()",
    ),
    _simulated(
        0,
        "a job that kills its workers is tried for ever",
        "domain/lifecycle",
        "crashed = msgspec.structs.replace(job, crashes=job.crashes + 1)",
        "crashed = msgspec.structs.replace(job, crashes=0)",
    ),
    _simulated(
        0,
        "a settled job can be canceled",
        "domain/lifecycle",
        "if allowed is None or (settled and not isinstance(event, Publish | Fail)):",
        "if allowed is None:",
    ),
    _simulated(
        0,
        "a bad input is tried again",
        "domain/lifecycle",
        "again = failure.retryable and failed.failures",
        "again = failed.failures",
    ),
]
SIMULATED = [simulated.broken for simulated in _BREAKS]
SEEDS = sorted({simulated.seed for simulated in _BREAKS})
