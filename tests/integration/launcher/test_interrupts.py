"""Ctrl-C again and again, whatever a launch is doing: exit 130, no traceback, and what was accepted is known."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.launcher.conftest import Farm
from tests.integration.launcher.test_launch_command import Process, start
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("times", [2, 3])


async def interrupt(process: Process, times: int) -> bytes:
    """So many SIGINTs, the second one when the first was heard; what was said until then."""
    process.send_signal(signal.SIGINT)
    said = b""
    assert process.stderr is not None
    while b"Ctrl-C again" not in said:
        line = await process.stderr.readline()
        assert line, said
        said += line
    for _ in range(times - 1):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    return said


async def until_accepted(farm: Farm, count: int) -> None:
    async def look() -> int:
        return len(await farm.jobs())

    await wait_until(look, lambda n: n >= count, seconds=30)


def ids(results: list[dict[str, Any]]) -> list[str]:
    return sorted(one["id"] for one in results)


async def test_while_it_sends(farm: Farm, tmp_path: Path, times: int) -> None:
    """The results are left to a resume, which has exactly the jobs that were asked for."""
    process = await start(tmp_path, "--count", "3000", "--delay", "20", "--batch-size", "20", "--master", farm.url)
    await until_accepted(farm, 100)
    said = await interrupt(process, times)
    _, rest = await process.communicate()
    assert 130 == process.returncode, said + rest
    assert b"Traceback" not in rest
    assert b"go on with: reelmill launch --resume" in rest

    again = await start(tmp_path, "--resume", "--delay", "0", "--master", farm.url)
    _, said = await again.communicate()
    assert 0 == again.returncode, said
    found = json.loads((tmp_path / "job_launch_results.json").read_text())
    assert sorted(job.id for job in await farm.jobs()) == ids(found)
    assert 3000 == len(found)


async def test_while_it_watches(farm: Farm, tmp_path: Path, times: int) -> None:
    """Everything was accepted and is in the results; the jobs go on."""
    process = await start(tmp_path, "--count", "20", "--wait", "--master", farm.url)
    results = tmp_path / "job_launch_results.json"
    await wait_until(lambda: asyncio.sleep(0, results.exists()), bool, seconds=30)  # they are written before it watches
    said = await interrupt(process, times)
    _, rest = await process.communicate()
    assert 130 == process.returncode, said + rest
    assert b"Traceback" not in rest
    assert sorted(job.id for job in await farm.jobs()) == ids(json.loads(results.read_text()))
    assert {"queued"} == {job.status for job in await farm.jobs()}


async def test_while_it_writes_the_results(farm: Farm, tmp_path: Path, times: int) -> None:
    """A slow reader holds the writing up: what it reads in the end is whole."""
    process = await start(tmp_path, "--count", "2000", "--delay", "0", "--output", "-", "--master", farm.url)
    assert process.stdout is not None
    written = await process.stdout.read(1)  # the rest is more than a pipe and its reader hold
    said = await interrupt(process, times)
    written += await process.stdout.read()
    _, rest = await process.communicate()
    assert 130 == process.returncode, said + rest
    assert b"Traceback" not in rest
    assert sorted(job.id for job in await farm.jobs()) == ids(json.loads(written))
    assert 2000 == len(await farm.jobs())
