"""How much memory an engine may take."""

from __future__ import annotations

import pytest

from reelmill.worker.confinement import Confinement, EngineLimits

GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "cores", "units", "share"),
    [
        (64 * GIB, 16, 1, 8 * GIB),
        (64 * GIB, 16, 4, 32 * GIB),
        (64 * GIB, 16, 16, 64 * GIB),
        (32 * GIB, 64, 1, 2 * GIB),
        (1 * GIB, 2, 1, 1 * GIB),
    ],
)
def test_an_engine_may_take_twice_its_share(memory: int, cores: int, units: int, share: int) -> None:
    """At least 2 GiB, at most what the machine has."""
    assert Confinement(share, 5) == EngineLimits(None, 5, memory, cores).of(units)


def test_a_chosen_limit_is_the_same_for_all_and_zero_is_none() -> None:
    """Whatever their size."""
    assert [GIB, GIB] == [EngineLimits(GIB, 0, 64 * GIB, 16).of(units).memory for units in (1, 16)]
    assert EngineLimits(0, 0, 64 * GIB, 16).of(4).memory is None
