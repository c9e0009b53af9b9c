"""What an attempt used and what that cost, each with where the figure comes from; None where nothing is known."""

from __future__ import annotations

from typing import Literal

import msgspec

EnergySource = Literal["rapl", "model"]
CostSource = Literal["node_hours", "kwh"]

_JOULES_PER_KWH = 3_600_000.0
_SECONDS_PER_HOUR = 3600.0


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a node costs: by the hour for all of it, or by the kWh; None is unknown. Both together are not allowed."""

    per_hour: float | None = None
    per_kwh: float | None = None
    currency: str = "EUR"


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt used: ``energy_joules`` and ``cost`` in ``currency``, and their sources; None when unknown."""

    energy_joules: float | None = None
    energy_source: EnergySource | None = None
    cost: float | None = None
    cost_source: CostSource | None = None
    currency: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has a number at all."""
        return self.energy_joules is not None or self.cost is not None


class LostAttempt(Spending, frozen=True, kw_only=True):
    """An attempt that came to nothing, and what it used: nothing is known of one whose worker was lost.

    ``reason`` is the code of its failure, or ``worker_lost``, ``canceled`` or ``returned``.
    """

    attempt: int
    node_id: str | None
    node_name: str | None
    reason: str


def spending(
    prices: Prices, joules: float | None, source: EnergySource | None, *, seconds: float, node_share: float
) -> Spending:
    """What ``seconds`` on ``node_share`` (0 to 1) of a node's units cost, or what the energy did.

    A price by the hour is paid for the units that the job held, whether it used them or not.
    """
    cost: float | None = None
    cost_source: CostSource | None = None
    if prices.per_hour is not None:
        cost, cost_source = prices.per_hour * node_share * seconds / _SECONDS_PER_HOUR, "node_hours"
    elif prices.per_kwh is not None and joules is not None:
        cost, cost_source = prices.per_kwh * joules / _JOULES_PER_KWH, "kwh"
    return Spending(
        energy_joules=None if joules is None else round(joules, 3),
        energy_source=None if joules is None else source,
        cost=None if cost is None else round(cost, 8),
        cost_source=cost_source,
        currency=None if cost is None else prices.currency,
    )
