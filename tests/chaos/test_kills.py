"""kill -9 again and again, of whatever a seed chooses, under load; `python -m tests.chaos` does it at any length."""

from __future__ import annotations

import pytest

from tests.chaos.campaign import Campaign, Ending
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def check(ending: Ending) -> None:
    assert [] == list(ending.violations)
    assert {"completed": len(ending.accepted), "canceled": 1} == ending.aftermath.by_status, "one never ends by itself"
    assert ending.reruns, "no kill met an encode: this seed proves nothing"


def test_kills_of_a_farm_its_engines_and_its_probe_lose_nothing(commands: Commands) -> None:
    """P1, P2, P3, P6: each accepted job completes, its output is the one that was verified, no process is left."""
    check(Campaign(commands, seed=11, seconds=0.3).run(25))


def test_kills_of_two_farms_that_share_a_store_lose_nothing(commands: Commands) -> None:
    """P1 to P4, P6: while one farm is dead the other goes on, and takes over what it held."""
    check(Campaign(commands, seed=12, store=new_database(), seconds=0.3).run(8))
