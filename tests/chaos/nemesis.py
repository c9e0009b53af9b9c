"""The nemesis: by its seed it chooses what is killed, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Victim = Literal["farm", "engine", "probe", "all", "database"]

_WEIGHTS: dict[Victim, int] = {"farm": 5, "engine": 3, "probe": 1, "all": 1, "database": 1}


class Blow(NamedTuple):
    """One kill: ``after`` seconds from the one before, or from the moment at which its farm was up again."""

    victim: Victim
    farm: int
    after: float
    while_starting: bool
    """Whether it does not wait for the farm to be up: kills in the middle of a start."""


class Nemesis:
    """Chooses among so many farms; equal seeds choose alike."""

    def __init__(self, seed: int, farms: int, *, database: bool) -> None:
        """``database`` says that there is a server to kill."""
        self.rng = random.Random(seed)
        self._farms = farms
        self._weights: dict[Victim, int] = {
            victim: weight for victim, weight in _WEIGHTS.items() if database or victim != "database"
        }

    def blows(self) -> Iterator[Blow]:
        """Blows without end."""
        kinds: Sequence[Victim] = list(self._weights)
        while True:
            [victim] = self.rng.choices(kinds, list(self._weights.values()))
            while_starting = self.rng.random() < 0.1
            after = self.rng.uniform(0.0, 0.8)
            yield Blow(victim, self.rng.randrange(self._farms), after, while_starting)
