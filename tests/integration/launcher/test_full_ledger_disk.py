"""A disk that is full around the ledger: one line, nothing accepted is lost, and with room again all goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from reelmill.errors import ReelmillError
from reelmill.launcher.client import MasterClient
from reelmill.launcher.ledger import Ledger, ledger_path
from reelmill.launcher.options import LaunchOptions, read_plan
from reelmill.launcher.run import LaunchOutcome, run_launch
from tests.disks import disk_of, fill
from tests.integration.launcher.conftest import Farm, Memory

JOBS = 10_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A file system with room for the whole launch and its results."""
    with disk_of(tmp_path / "small", "32m") as disk:
        yield disk


def options(disk: Path) -> LaunchOptions:
    return LaunchOptions(plan=read_plan(count=str(JOBS), seed=1), delay=0, output=disk / "r.json")


async def launch(farm: Farm, wanted: LaunchOptions, display: Memory) -> LaunchOutcome:
    async with MasterClient(farm.url) as client:
        return await run_launch(wanted, client, display, asyncio.Event())


async def assert_all_told(farm: Farm, disk: Path) -> None:
    """Each job is in the store once, and in the results under its id."""
    found = json.loads((disk / "r.json").read_text())
    assert list(range(JOBS)) == [one["index"] for one in found]
    assert sorted(job.id for job in await farm.jobs()) == sorted(one["id"] for one in found)


@pytest.mark.parametrize("leave", [0, 4096, 16_384])
async def test_where_a_ledger_does_not_fit_nothing_is_sent(
    farm: Farm, small_disk: Path, display: Memory, leave: int
) -> None:
    """Whether nothing of it fits or a part: the line names the place, and no half of one stays."""
    ballast = fill(small_disk, leave=leave)
    with pytest.raises(ReelmillError) as caught:
        await launch(farm, options(small_disk), display)
    assert "r.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [ballast] == list(small_disk.iterdir())
    assert [] == await farm.jobs()

    ballast.unlink()
    assert 0 == (await launch(farm, options(small_disk), display)).exit_code
    await assert_all_told(farm, small_disk)


@pytest.mark.parametrize("leave", [0, 4096, 40_000])
async def test_a_disk_that_fills_up_in_mid_launch_loses_nothing(
    farm: Farm, small_disk: Path, display: Memory, leave: int
) -> None:
    """The launch gives up in one line; its ledger can be read, also while there is no room, and it goes on exactly."""
    wanted = options(small_disk)
    running = asyncio.create_task(launch(farm, wanted, display))
    async with asyncio.timeout(30):
        while not display.seen:
            await asyncio.sleep(0.001)
    ballast = fill(small_disk, leave=leave)
    outcome = await running
    assert 1 == outcome.exit_code
    assert "cannot write" in str(outcome.failure)
    assert "every job that was accepted is safe" in str(outcome.failure)
    assert "\n" not in str(outcome.failure)
    left = {path.name for path in small_disk.iterdir()} - {"ballast", "r.json"}
    assert {"r.json.ledger"} <= left <= {"r.json.ledger", "r.json.ledger-wal"}
    accepted = {job.id for job in await farm.jobs()}
    assert 0 < len(accepted) < JOBS

    again = msgspec.structs.replace(wanted, resume=True)
    try:
        still = (await launch(farm, again, display)).failure
    except ReelmillError as error:
        still = error
    assert "cannot write" in str(still)
    ballast.unlink()
    ledger = Ledger.open(ledger_path(small_disk / "r.json"))
    assert {entry.id for entry in ledger.entries() if entry.outcome == "accepted"} <= {
        job.id for job in await farm.jobs()
    }
    ledger.close()
    assert 0 == (await launch(farm, again, display)).exit_code
    assert accepted <= {job.id for job in await farm.jobs()}
    await assert_all_told(farm, small_disk)
