"""Breaks that the simulation catches: one of its thousand seeds at least comes to harm by each."""

from __future__ import annotations

from tests.breaks.broken import Break

_CAUGHT_BY = "test_no_seed_breaks_a_promise"
_TESTS = ("tests/simulation/test_simulation.py", "-k", _CAUGHT_BY)


def _simulated(name: str, file: str, old: str, new: str) -> Break:
    """A break that takes the order of events, or the loss of one, to do harm."""
    return Break(name, f"src/reelmill/{file}.py", old, new, _TESTS, _CAUGHT_BY)


SIMULATED = [
    _simulated(
        "leases run out long after their end",
        "store/attempts",
        "_expired(load_numbers(tx, numbers), rules), Lose()",
        "_expired(load_numbers(tx, numbers), rules._replace(now=rules.now - 20)), Lose()",
    ),
    _simulated(
        "an old attempt's word counts",
        "store/attempts",
        "if job is None or job.attempt != said.key.attempt or job.node_id not in (None, said.node_id):",
        "if job is None:",
    ),
    _simulated(
        "leases are not renewed while draining",
        "worker/agent",
        "asked_at = asyncio.get_running_loop().time()\n        holding",
        "asked_at = asyncio.get_running_loop().time()\n        if self._draining:\n            return\n        holding",
    ),
    _simulated(
        "after a start the reaper waits for nobody",
        "master/reaper",
        "self._not_before = loop.time() + self._farm.lease_seconds",
        "self._not_before = loop.time()",
    ),
    _simulated(
        "an output is published whatever the verdict",
        "worker/attempt",
        "if not await self._conclude(Settle(result)):",
        "if await self._conclude(Settle(result)) is None:",
    ),
    _simulated(
        "a parked claim loses its grants",
        "master/scheduler",
        "parked.served.set_result(grants)",
        "parked.served.set_result([])",
    ),
    _simulated(
        "the folder of an attempt that runs is garbage",
        "store/attempts",
        "if held.get(key.job_id, key.attempt) != key.attempt]",
        "if key.job_id in held]",
    ),
    _simulated(
        "a worker does not end what it cannot renew",
        "worker/agent",
        "_FENCE_SHARE = 2 / 3",
        "_FENCE_SHARE = 20",
    ),
    _simulated(
        "nobody finishes what a lost worker had settled",
        "store/attempts",
        '{"now": rules.now}).scalars().all()), rules):\n        if job.result is None',
        '{"now": 0.0}).scalars().all()), rules):\n        if job.result is None',
    ),
    _simulated(
        "a clock that was set while no master ran is believed",
        "master/reaper",
        "if is_first or step",
        "if step",
    ),
    _simulated(
        "a clock that is set forward kills workers",
        "master/reaper",
        "if abs(step) >= CLOCK_STEP_SECONDS:",
        "if -step >= CLOCK_STEP_SECONDS:",
    ),
    _simulated(
        "a node is not told of a canceled job",
        "master/orders",
        '    if before.is_held:\n        await _order(farm, before, "drop")',
        '    if before.is_held and before.status == "paused":\n        await _order(farm, before, "drop")',
    ),
    _simulated(
        "a node is not told of a paused job",
        "master/orders",
        '(action == "pause" or action == "resume")',
        'action == "resume"',
    ),
    _simulated(
        "a worker that ends gives nothing back",
        "store/attempts",
        '_let_go(tx, node_id, Return("its worker was stopped"), rules)',
        "note_departure(tx, node_id, rules.now)",
    ),
    _simulated(
        "any lane may be first",
        "store/claim",
        "waiting = heapq.heappop(heads)",
        "waiting = heads.pop()",
    ),
    _simulated(
        "a job that kills its workers is tried for ever",
        "domain/lifecycle",
        "crashed = msgspec.structs.replace(job, crashes=job.crashes + 1)",
        "crashed = msgspec.structs.replace(job, crashes=0)",
    ),
    _simulated(
        "a settled job can be canceled",
        "domain/lifecycle",
        "if allowed is None or (settled and not isinstance(event, Publish | Fail)):",
        "if allowed is None:",
    ),
    _simulated(
        "a bad input is tried again",
        "domain/lifecycle",
        "again = failure.retryable and failed.failures",
        "again = failed.failures",
    ),
]
