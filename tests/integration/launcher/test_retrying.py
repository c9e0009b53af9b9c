"""`--retry-failed`: every job that failed, however many there are, gets another try."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from reelmill.launcher.client import MasterClient
from reelmill.launcher.options import LaunchOptions, read_plan
from reelmill.launcher.run import run_launch
from tests.farmhand import NOW, Farmhand
from tests.integration.launcher.conftest import Farm, Memory
from tests.samples import BAD_INPUT, failed, keys, node_info

JOBS = 1_030


async def test_more_failed_jobs_than_a_page_are_all_tried_again(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """The pages have 1,000 jobs, and those that are tried again leave them meanwhile."""
    wanted = LaunchOptions(plan=read_plan(count=str(JOBS), scenario="480p30-h264"), delay=0, output=tmp_path / "r.json")
    hand, node, after = Farmhand(farm.store), node_info(units=JOBS - 5), time.time() - NOW
    async with MasterClient(farm.url) as client:
        await run_launch(wanted, client, display, asyncio.Event())
        given = keys(await hand.claim(node, after=after))
        await hand.report(*(failed(key, node, BAD_INPUT) for key in given), after=after)
        assert JOBS - 5 == sum(job.status == "failed" for job in await farm.jobs())

        again = msgspec.structs.replace(wanted, resume=True, retry_failed=True)
        outcome = await run_launch(again, client, display, asyncio.Event())
    assert 0 == outcome.exit_code
    assert ["queued"] * JOBS == [job.status for job in await farm.jobs()]
    assert "0 jobs that were refused are sent again, 1,025 that failed are tried again" in display.lines
