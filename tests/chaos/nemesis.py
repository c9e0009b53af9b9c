"""The nemesis: by its seed it chooses what is killed, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Victim = Literal["farm", "engine", "probe", "all"]

_WEIGHTS: dict[Victim, int] = {"farm": 5, "engine": 3, "probe": 1, "all": 1}


class Blow(NamedTuple):
    """One kill: ``after`` seconds from the one before, or from the moment at which its farm was up again."""

    victim: Victim
    farm: int
    after: float
    while_starting: bool
    """Whether it does not wait for the farm to be up: kills in the middle of a start."""


class Nemesis:
    """Chooses among so many farms; equal seeds choose alike."""

    def __init__(self, seed: int, farms: int) -> None:
        self.rng = random.Random(seed)
        self._farms = farms

    def blows(self) -> Iterator[Blow]:
        """Blows without end."""
        kinds: Sequence[Victim] = list(_WEIGHTS)
        while True:
            [victim] = self.rng.choices(kinds, list(_WEIGHTS.values()))
            while_starting = self.rng.random() < 0.1
            after = self.rng.uniform(0.0, 0.8)
            yield Blow(victim, self.rng.randrange(self._farms), after, while_starting)
