"""What the parts of a master share: the store, the bus, the clock, and the rules they judge by."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from reelmill.bus.protocol import Bus
from reelmill.bus.words import WORK
from reelmill.clock import Clock
from reelmill.domain.retry import RetryPolicy
from reelmill.master.metrics import Metrics
from reelmill.store.protocol import Store, Tx
from reelmill.store.transition import Rules

T = TypeVar("T")


class Farm(NamedTuple):
    """One farm as its master sees it. ``lease_seconds`` is how long a worker may be silent."""

    store: Store
    bus: Bus
    clock: Clock
    policy: RetryPolicy
    rng: random.Random
    lease_seconds: float
    media_root: Path
    data_folder: Path
    metrics: Metrics

    def rules(self) -> Rules:
        """What a change that happens now is judged by."""
        return Rules(self.clock.now(), self.policy, self.rng)

    async def change(self, work: Callable[[Tx, Rules], T]) -> T:
        """Run ``work`` durably, judged by the rules of this moment."""
        rules = self.rules()
        return await self.store.write(lambda tx: work(tx, rules))

    async def announce_work(self, why: str) -> None:
        """Ring the doorbell: there may be something to claim."""
        await WORK.tell(self.bus, why)
