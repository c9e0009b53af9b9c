"""`python -m tests.simulation`: runs many seeds, or replays one with everything that its farm says."""

from __future__ import annotations

import argparse
import collections
import gc
import itertools
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.log import listen
from tests.simulation.run import Outcome, simulate
from tests.simulation.store import MemoryStore

_AT_ONCE = 5


def run_some(seeds: list[int]) -> list[Outcome]:
    """The outcomes of these seeds, in this process."""
    store = MemoryStore()
    return [simulate(seed, store) for seed in seeds]


def _outcomes(first: int, count: int | None, seconds: float | None, processes: int) -> Iterator[Outcome]:
    """As they come; the first of a group that was begun, whatever happens."""
    began = time.monotonic()
    seeds = itertools.count(first) if count is None else iter(range(first, first + count))
    with ProcessPoolExecutor(processes, initializer=_begin) as pool:
        running = collections.deque(
            pool.submit(run_some, some)
            for _ in range(2 * processes)
            if (some := list(itertools.islice(seeds, _AT_ONCE)))
        )
        while running:
            yield from running.popleft().result()
            if seconds is not None and time.monotonic() - began > seconds:
                continue
            if some := list(itertools.islice(seeds, _AT_ONCE)):
                running.append(pool.submit(run_some, some))


def _begin() -> None:
    listen(aloud=False)
    gc.freeze()  # what is loaded stays: each run looks for the garbage of its own


def main(arguments: list[str]) -> int:
    """0 when no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("first", type=int, help="the first seed; alone, the one to replay with its log")
    parser.add_argument("count", type=int, nargs="?", help="how many; 0: as long as --seconds says")
    parser.add_argument("--seconds", type=float, help="begin no more seeds after so many")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    if asked.count is None:
        listen(aloud=True)
        outcome = simulate(asked.first, MemoryStore())
        _tell(outcome)
        return bool(outcome.violations)
    began = time.monotonic()
    runs = jobs = attempts = 0
    deeds: collections.Counter[str] = collections.Counter()
    for outcome in _outcomes(asked.first, asked.count or None, asked.seconds, asked.processes):
        runs, jobs, attempts = runs + 1, jobs + outcome.jobs, attempts + outcome.attempts
        deeds.update(outcome.deeds)
        if outcome.violations:
            _tell(outcome)
            _say(f"replay: python -m tests.simulation {outcome.seed}")
            return 1
    told = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(deeds.items()))
    _say(f"{runs} seeds, {jobs} jobs, {attempts} attempts, 0 violations in {time.monotonic() - began:.0f} s ({told})")
    return 0


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def _tell(outcome: Outcome) -> None:
    _say(
        f"seed {outcome.seed}: {len(outcome.violations)} violations in {outcome.jobs} jobs, {outcome.attempts} attempts"
    )
    for violation in outcome.violations:
        _say(f"  {violation}")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is chance too
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:]))
