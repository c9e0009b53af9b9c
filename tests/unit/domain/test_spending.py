"""What several attempts used together."""

from __future__ import annotations

from typing import Any

import pytest

from reelmill.domain.energy import Spending

RAPL: dict[str, Any] = {"energy_joules": 2.5, "energy_source": "rapl"}
MODEL: dict[str, Any] = {"energy_joules": 4.0, "energy_source": "model"}
CARD: dict[str, Any] = {"gpu_joules": 1.5, "gpu_source": "nvml"}
PAID: dict[str, Any] = {"cost": 0.25, "cost_source": "kwh", "currency": "EUR"}


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (RAPL, RAPL, {"energy_joules": 5.0, "energy_source": "rapl"}),
        (RAPL, MODEL, {"energy_joules": 6.5, "energy_source": "model"}),
        (RAPL, {}, {}),
        (CARD, CARD, {"gpu_joules": 3.0, "gpu_source": "nvml"}),
        (CARD, {}, {}),
        (PAID, PAID, PAID | {"cost": 0.5}),
        (PAID, PAID | {"currency": "USD"}, {}),
        (PAID, PAID | {"cost_source": "node_hours"}, {}),
    ],
)
def test_a_sum_says_no_more_than_its_parts(one: dict[str, Any], other: dict[str, Any], both: dict[str, Any]) -> None:
    """Unknown with an unknown part, modelled with a modelled one; money of two kinds has no sum."""
    assert Spending(**both) == Spending(**one).plus(Spending(**other)) == Spending(**other).plus(Spending(**one))
