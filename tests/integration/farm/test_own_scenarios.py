"""A scenario of the settings, from the file to a verified output; and one that changes while its job waits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from reelmill.domain.own_scenarios import read_scenarios
from reelmill.domain.scenario import use_scenarios
from tests.footage import BIG_BUCK_BUNNY

from .conftest import FarmMaker

MINE = {
    "mine": {
        "extends": "480p30-h264",
        "preset": "ultrafast",
        "container": "mkv",
        "fps": 24,
        "rate": {"mode": "two-pass"},
        "audio": {"codec": "opus", "channels": 2},
    }
}


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


async def test_a_job_runs_as_it_was_accepted(make_farm: FarmMaker) -> None:
    """P8: accepted with one meaning, run when the settings say another, and verified against the first."""
    farm = make_farm(scenarios=MINE)
    shutil.copy(BIG_BUCK_BUNNY, farm.media / "bunny.mp4")
    await farm.start_master()
    job = await farm.submit("mine", input="bunny.mp4", duration=1.0)
    use_scenarios(read_scenarios({"mine": {"extends": "480p60-h265"}}))
    await farm.worker.start()
    done = await farm.ended(job)
    assert "completed" == done["status"], done
    result = done["result"]
    assert ("matroska", "h264", 24.0, 24, "opus") == (
        *(result[key] for key in ("container", "codec", "fps", "frames", "audio_codec")),
    )
    assert result["output"].endswith(".mkv")
    assert (farm.media / result["output"]).exists()
