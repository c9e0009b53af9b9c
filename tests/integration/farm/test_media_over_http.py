"""A worker that has no media folder: inputs and outputs go over HTTP, and end as if it had one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reelmill.worker.http_depot import HttpDepot
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest, sha256_of


@pytest.fixture
async def farm(make_farm: FarmMaker, tmp_path: Path) -> FarmUnderTest:
    """A farm whose only worker works in a folder of its own."""
    farm = make_farm()
    await farm.start_master()
    farm.worker = farm.new_worker(depot=HttpDepot(farm.bus, tmp_path / "far" / "worker", 10**9))
    await farm.worker.start()
    return farm


def scratch(tmp_path: Path) -> list[str]:
    """What is left in the worker's folder, without the inputs it keeps."""
    far = tmp_path / "far" / "worker"
    return sorted(str(path.relative_to(far)) for path in far.rglob("*") if path.is_file() and path.name != "lock")


async def test_jobs_with_and_without_an_input_end_with_their_outputs_in_place(
    farm: FarmUnderTest, tmp_path: Path, clip: Path
) -> None:
    """What lies under the masters' folder is what the store says, byte for byte; nothing else is left anywhere."""
    shutil.copy(clip, farm.media / "in put+ü.mp4")
    jobs = [await farm.submit(duration=1, output="synthetic.mp4")]
    jobs += [await farm.submit(input="in put+ü.mp4", output=f"out/{number}.mp4") for number in range(3)]
    for job in jobs:
        done = await farm.ended(job)
        assert "completed" == done["status"], done
        output = farm.media / done["result"]["output"]
        assert (sha256_of(output), output.stat().st_size) == (done["result"]["sha256"], done["result"]["size_bytes"])
    assert [] == farm.attempt_folders()
    [kept] = scratch(tmp_path)
    assert sha256_of(clip) == sha256_of(tmp_path / "far" / "worker" / kept)
