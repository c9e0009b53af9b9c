"""A launch is exactly the jobs that were asked for, through a bad line, a killed master and a stopped launcher."""

from __future__ import annotations

import pytest

from tests.chaos.launches import campaign
from tests.e2e.conftest import Commands

pytestmark = pytest.mark.slow


async def test_bad_lines_and_killed_masters_lose_and_double_nothing(commands: Commands) -> None:
    """Each launch of 5,000 jobs has 5,000 in the store and 5,000 right entries; 100 seeds: `tests.chaos.launches`."""
    assert [[]] * 2 == [trial.violations for trial in await campaign(commands, 1, bad_lines=2, stops=0)]


async def test_a_launcher_that_is_stopped_at_any_moment_goes_on_exactly(commands: Commands) -> None:
    """Ctrl-C and kill -9 in turn, then `--resume`: exactly 5,000 jobs, results that can be read each time."""
    assert [[]] * 6 == [trial.violations for trial in await campaign(commands, 1, bad_lines=0, stops=6)]
