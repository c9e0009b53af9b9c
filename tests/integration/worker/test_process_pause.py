"""An engine that stands still: its whole group stops and goes on, its clocks wait for it, and it can still be ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.worker.process import EngineProcess
from tests.waiting import wait_until

SHELL = "/bin/sh"
SCRIPT = "sleep 100 & echo $!; echo $$; wait"


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does: S, R, T (stopped) ...; X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return "X"


async def reach(pids: list[int], is_right: Callable[[str], bool]) -> None:
    """Wait until each of the processes is in such a state."""

    async def look() -> list[str]:
        return [state_of(pid) for pid in pids]

    await wait_until(look, lambda states: all(map(is_right, states)))


class Family:
    """A shell and its child, run as one engine; both have said their numbers when `started` returns."""

    def __init__(self, *, timeout: float | None = None, hang_seconds: float = 60.0) -> None:
        self.pids: list[int] = []
        argv = [SHELL, "-c", SCRIPT]
        self.process = EngineProcess(argv, on_line=self._take, timeout=timeout, hang_seconds=hang_seconds)
        self.task = asyncio.create_task(self.process.run())

    def _take(self, line: str) -> bool:
        self.pids.append(int(line))
        return True

    async def started(self) -> list[int]:
        async def look() -> list[int]:
            return self.pids

        return await wait_until(look, lambda pids: len(pids) == 2)


async def test_a_pause_stops_the_whole_group_and_a_resume_lets_it_go_on() -> None:
    """Both as often as one likes, and each twice is once."""
    family = Family()
    pids = await family.started()
    for _ in range(2):
        family.process.pause()
        family.process.pause()
        await reach(pids, lambda state: state == "T")
        family.process.resume()
        family.process.resume()
        await reach(pids, lambda state: state in "SR")
    os.kill(pids[0], signal.SIGTERM)
    assert "exited" == (await family.task).ending


async def test_what_stands_still_can_be_killed() -> None:
    """Nothing of it is left."""
    family = Family()
    pids = await family.started()
    family.process.pause()
    await reach(pids, lambda state: state == "T")
    family.process.kill()
    end = await family.task
    assert (-signal.SIGKILL, "killed") == (end.code, end.ending)
    await reach(pids, lambda state: state in "XZ")


async def test_what_stands_still_ends_with_its_task() -> None:
    """Cancelled, it is killed and reaped before the task ends."""
    family = Family()
    pids = await family.started()
    family.process.pause()
    family.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await family.task
    assert family.process.pid is None
    await reach(pids, lambda state: state in "XZ")


async def test_an_engine_paused_before_it_starts_stands_still_at_once() -> None:
    """It gets no further than to its first moments, until it is resumed."""
    lines: list[str] = []
    # One process: a shell that is stopped while it starts another waits for it, which is another state.
    argv = [sys.executable, "-c", "import time; time.sleep(0.2); print('ran')"]
    process = EngineProcess(argv, on_line=lambda line: lines.append(line) is None)
    process.pause()
    task = asyncio.create_task(process.run())

    async def state() -> str:
        return state_of(process.pid) if process.pid else ""

    await wait_until(state, lambda seen: seen == "T")
    assert [] == lines
    process.resume()
    assert ("exited", ["ran"]) == ((await task).ending, lines)


@pytest.mark.parametrize(("limits", "ending"), [({"timeout": 1.0}, "timed_out"), ({"hang_seconds": 1.0}, "hung")])
async def test_time_stood_still_counts_neither_as_run_nor_as_silence(limits: dict[str, float], ending: str) -> None:
    """Paused for longer than its limit it lives; let go on it is ended when it has used up the rest."""
    began = time.monotonic()
    family = Family(**limits)
    pids = await family.started()
    family.process.pause()
    await asyncio.sleep(1.5)  # what is tested is that this time does not count
    assert ["T", "T"] == [state_of(pid) for pid in pids]
    assert family.process.stretch > 2
    family.process.resume()
    end = await family.task
    assert ending == end.ending
    assert 0.9 < end.wall_seconds <= time.monotonic() - began - 1.5


WORKER = """
import asyncio, uvloop
from reelmill.worker.process import EngineProcess

async def run():
    process = EngineProcess(["/bin/sleep", "100"])
    process.pause()
    task = asyncio.create_task(process.run())
    while process.pid is None:
        await asyncio.sleep(0)
    print(process.pid, flush=True)
    await task

uvloop.run(run())
"""


async def test_kill_9_of_the_worker_kills_an_engine_that_stands_still() -> None:
    """P6: even one that was paused the moment it was started, before it could ask to die with its worker."""
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        engine = int(worker.stdout.readline())
        await reach([engine], lambda state: state == "T")
        worker.kill()
        await reach([engine], lambda state: state in "XZ")
