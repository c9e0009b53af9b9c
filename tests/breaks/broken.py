"""What a break is."""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """One guard that is taken away."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    caught_by: str

    def apply(self, source: str) -> str:
        """The broken source; ValueError unless the guard is there, once."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: found {source.count(self.old)} times in {self.file}: {self.old!r}")
        return source.replace(self.old, self.new)
