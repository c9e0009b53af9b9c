"""What an attempt used and what that cost, each with where the figure comes from; None where nothing is known."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

EnergySource = Literal["rapl", "model"]
CardSource = Literal["nvml"]
CostSource = Literal["node_hours", "kwh"]

_JOULES_PER_KWH = 3_600_000.0
_SECONDS_PER_HOUR = 3600.0


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a node costs: by the hour for all of it, or by the kWh; None is unknown. Both together are not allowed."""

    per_hour: float | None = None
    per_kwh: float | None = None
    currency: str = "EUR"


class CardUse(NamedTuple):
    """Whether an attempt encoded on NVIDIA cards, and the joules of these; None when they were not measured."""

    used: bool
    joules: float | None

    def then(self, joules: float | None) -> CardUse:
        """With one more stay on a card."""
        known = None if joules is None or self.joules is None else self.joules + joules
        return CardUse(used=True, joules=known)


NO_CARD = CardUse(used=False, joules=0.0)


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt used: energy, and ``cost`` in ``currency``, and their sources; None when unknown.

    ``energy_joules`` are of the processor and its memory, ``gpu_joules`` of graphics cards: neither is in the other.
    """

    energy_joules: float | None = None
    energy_source: EnergySource | None = None
    gpu_joules: float | None = None
    gpu_source: CardSource | None = None
    cost: float | None = None
    cost_source: CostSource | None = None
    currency: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has a number at all."""
        return not (self.energy_joules is None and self.gpu_joules is None and self.cost is None)

    def plus(self, other: Spending) -> Spending:
        """Both together: unknown where one of them is, and modelled where one of them is."""
        joules = _sum(self.energy_joules, other.energy_joules)
        source = self.energy_source if self.energy_source == other.energy_source else "model"
        gpu_joules = _sum(self.gpu_joules, other.gpu_joules)
        is_one_price = (self.cost_source, self.currency) == (other.cost_source, other.currency)
        cost = _sum(self.cost, other.cost) if is_one_price else None
        return Spending(
            energy_joules=joules,
            energy_source=None if joules is None else source,
            gpu_joules=gpu_joules,
            gpu_source=None if gpu_joules is None else "nvml",
            cost=cost,
            cost_source=None if cost is None else self.cost_source,
            currency=None if cost is None else self.currency,
        )


class LostAttempt(Spending, frozen=True, kw_only=True):
    """An attempt that came to nothing, and what it used: nothing is known of one whose worker was lost.

    ``reason`` is the code of its failure, or ``worker_lost``, ``canceled`` or ``returned``.
    """

    attempt: int
    node_id: str | None
    node_name: str | None
    reason: str


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one + other, 8)


def spending(
    prices: Prices,
    joules: float | None,
    source: EnergySource | None,
    *,
    seconds: float,
    node_share: float,
    cards: CardUse = NO_CARD,
) -> Spending:
    """What ``seconds`` on ``node_share`` (0 to 1) of a node's units cost, or what the energy did.

    A price by the hour is paid for the units that the job held, whether it used them or not. One by the kWh is of all
    the energy: nothing is known of the cost when a card was used, and what it took is unknown.
    """
    cost: float | None = None
    cost_source: CostSource | None = None
    if prices.per_hour is not None:
        cost, cost_source = prices.per_hour * node_share * seconds / _SECONDS_PER_HOUR, "node_hours"
    elif prices.per_kwh is not None and joules is not None and cards.joules is not None:
        cost, cost_source = prices.per_kwh * (joules + cards.joules) / _JOULES_PER_KWH, "kwh"
    gpu_joules = cards.joules if cards.used else None
    return Spending(
        energy_joules=None if joules is None else round(joules, 3),
        energy_source=None if joules is None else source,
        gpu_joules=None if gpu_joules is None else round(gpu_joules, 3),
        gpu_source=None if gpu_joules is None else "nvml",
        cost=None if cost is None else round(cost, 8),
        cost_source=cost_source,
        currency=None if cost is None else prices.currency,
    )
