"""Many numbers of one kind, such as the waits of all jobs: their percentiles, in eight bytes each."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable
from math import ceil, fsum

_PIECE = 50_000


class Sample:
    """Numbers, added one by one, and what is asked of them in between or at the end."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = array("d", values)
        self._is_sorted = False

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """Take one more."""
        self._values.append(value)
        self._is_sorted = False

    def extend(self, other: Sample) -> None:
        """Take all of another sample."""
        self._values.extend(other._values)
        self._is_sorted = False

    def sorted(self) -> array[float]:
        """All of them, the least first."""
        if not self._is_sorted:
            # Piece by piece: as a list, a million of them would take 32 MB.
            pieces = [array("d", sorted(self._values[at : at + _PIECE])) for at in range(0, len(self), _PIECE)]
            self._values = pieces[0] if len(pieces) == 1 else array("d", heapq.merge(*pieces))
            self._is_sorted = True
        return self._values

    def percentile(self, share: float) -> float:
        """The nearest-rank percentile, ``share`` from 0 to 1; of no numbers there is none: IndexError."""
        ordered = self.sorted()
        return ordered[max(ceil(share * len(ordered)), 1) - 1]

    @property
    def least(self) -> float:
        return self.sorted()[0]

    @property
    def most(self) -> float:
        return self.sorted()[-1]

    @property
    def total(self) -> float:
        return fsum(self._values)

    @property
    def mean(self) -> float:
        return self.total / len(self._values)
