"""Whatever dies, freezes or is cut off, and whenever: every promise about jobs holds (P1 to P5, P7, P10)."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.loop import Deadlock, Process, VirtualLoop

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 1000


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.simulation`."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_seed_breaks_a_promise() -> None:
    """A thousand farms, each with another worst day."""
    ended = run("0", str(SEEDS))
    assert (0, "") == (ended.returncode, ended.stderr), ended.stdout
    assert f"{SEEDS} seeds" in ended.stdout
    sys.stdout.write(f"\n{ended.stdout}")


def test_a_seed_replays_exactly() -> None:
    """Or nobody could look into what it found."""
    told = [run("7").stdout for _ in range(2)]
    assert told[0] == told[1]
    assert "seed 7: 0 violations" in told[0]


def test_a_dead_process_does_nothing_more_and_a_frozen_one_waits() -> None:
    """Not one line of it, in the middle of whatever it was; behind the thaw comes what has piled up."""
    loop = VirtualLoop(random.Random(1))
    done: list[tuple[str, float]] = []

    async def tick(name: str) -> None:
        try:
            for _ in range(4):
                await asyncio.sleep(1)
                done.append((name, loop.time()))
        finally:
            done.append((f"{name} ends", loop.time()))

    async def play() -> None:
        dies, freezes = Process(loop, "dies"), Process(loop, "freezes")
        dies.run(tick("dies"))
        freezes.run(tick("freezes"))
        await asyncio.sleep(1.5)
        dies.kill()
        freezes.freeze()
        await asyncio.sleep(10)
        freezes.thaw()
        await asyncio.sleep(10)

    loop.run_until_complete(play())
    loop.bury()
    late = [("freezes", 11.5), ("freezes", 12.5), ("freezes", 13.5), ("freezes ends", 13.5)]
    assert [("dies", 1.0), ("freezes", 1.0), *late] == done


def test_waiting_for_nothing_is_told() -> None:
    """A farm that has stopped for ever is no farm that is well."""
    loop = VirtualLoop(random.Random(1))
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.bury()
