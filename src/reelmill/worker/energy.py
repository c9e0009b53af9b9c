"""The energy of an attempt: of the machine's counters its share, else by a model, else none."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path

import msgspec

from reelmill.domain.encoder import device_family
from reelmill.domain.energy import NO_CARD, CardUse, EnergySource, Prices, Spending, spending
from reelmill.worker.card_energy import Cards
from reelmill.worker.process import Exit

POWERCAP = Path("/sys/class/powercap")
PROC_STAT = Path("/proc/stat")

_PACKAGE = re.compile(r"intel-rapl:\d+")
_MEMORY = re.compile(r"intel-rapl:\d+:\d+")
_IDLE = (3, 4)
"""The places of idle and iowait in the first line of /proc/stat."""
_HOST_TIMES = 8
"""What comes behind is time of guests, which is counted as the host's already."""


class Rapl:
    """Adds up what the processor packages and their memory used, by the kernel's counters (Intel's and AMD's).

    A counter begins anew at its ``max_energy_range_uj``, at 100 W after some 40 minutes: it must be read more often.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _counts(zone)]
        self._last: dict[Path, int] = {}
        self._joules = 0.0

    def joules(self) -> float | None:
        """Joules since the first reading; None when this machine has no counter that may be read."""
        if not self._zones:
            return None
        for zone in self._zones:
            try:
                now = int((zone / "energy_uj").read_text())
                most = int((zone / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                self._zones = []  # a sum without one of its parts would be wrong
                return None
            used = now - self._last.get(zone, now)
            self._joules += (used if used >= 0 else used + most) / 1e6
            self._last[zone] = now
        return self._joules


def _counts(zone: Path) -> bool:
    """Whether the zone is a package or its memory, which is not part of it; and whether it may be read."""
    try:
        name = (zone / "name").read_text().strip()
    except OSError:
        return False
    wanted = (_PACKAGE.fullmatch(zone.name) and name.startswith("package")) or (
        _MEMORY.fullmatch(zone.name) and name == "dram"
    )
    return bool(wanted) and os.access(zone / "energy_uj", os.R_OK)


def busy_seconds(stat: Path = PROC_STAT) -> float | None:
    """CPU seconds that the whole machine has worked; None when nobody knows."""
    try:
        words = stat.read_text().partition("\n")[0].split()
        ticks = [int(word) for word in words[1 : 1 + _HOST_TIMES]]
    except (OSError, ValueError):
        return None
    worked = sum(number for place, number in enumerate(ticks) if place not in _IDLE)
    return worked / os.sysconf("SC_CLK_TCK")


class Mark(msgspec.Struct, frozen=True):
    """The machine's counters at a moment."""

    joules: float | None
    busy: float | None


class Meter:
    """Says what attempts used. ``watts_per_core`` is what a busy core is taken to use where nothing is measured."""

    def __init__(
        self,
        prices: Prices | None = None,
        watts_per_core: float | None = None,
        *,
        node_units: int = 1,
        rapl: Rapl | None = None,
        cards: Cards | None = None,
        stat: Path = PROC_STAT,
    ) -> None:
        self._prices = prices or Prices()
        self._watts = watts_per_core
        self._units = node_units
        self._rapl = rapl or Rapl()
        self._stat = stat
        self.cards = cards or Cards(None)

    def mark(self) -> Mark:
        """The counters now."""
        return Mark(self._rapl.joules(), busy_seconds(self._stat))

    def keep_up(self) -> None:
        """Read the counters before they begin anew; to be called again and again while an engine runs."""
        self._rapl.joules()

    def spent(
        self, since: Mark, *, cpu_seconds: float, seconds: float, units: int, cards: CardUse = NO_CARD
    ) -> Spending:
        """What was used since the mark by an attempt of ``cpu_seconds`` that held ``units`` for ``seconds``."""
        joules, source = self._energy(since, cpu_seconds)
        return spending(self._prices, joules, source, seconds=seconds, node_share=units / self._units, cards=cards)

    def _energy(self, since: Mark, cpu_seconds: float) -> tuple[float | None, EnergySource | None]:
        now = self.mark()
        measured = None not in (since.joules, since.busy, now.joules, now.busy)
        if measured and (now.busy or 0.0) > (since.busy or 0.0):
            share = min(1.0, cpu_seconds / ((now.busy or 0.0) - (since.busy or 0.0)))
            return ((now.joules or 0.0) - (since.joules or 0.0)) * share, "rapl"
        return (None, None) if self._watts is None else (self._watts * cpu_seconds, "model")


class Account:
    """What one attempt that holds ``units`` uses, over all engines that it runs; nothing is known without a meter."""

    def __init__(self, meter: Meter | None, units: int) -> None:
        self._meter = meter
        self._units = units
        self._since: Mark | None = None
        self._cpu_seconds = 0.0
        self._seconds = 0.0
        self._cards = NO_CARD

    def begin(self) -> None:
        """The first engine is about to start."""
        self._since = None if self._meter is None else self._meter.mark()

    def add(self, ended: Exit) -> None:
        """One of its engines ended, however that was."""
        self._cpu_seconds += ended.cpu_seconds
        self._seconds += ended.wall_seconds

    def keep_up(self) -> None:
        """As `Meter.keep_up`."""
        if self._meter is not None:
            self._meter.keep_up()

    @contextlib.contextmanager
    def on_device_of(self, encoder: str) -> Generator[None]:
        """For the length of the block that encoder runs, be it in software or on a card."""
        if self._meter is None or device_family(encoder) != "nvenc":
            yield
            return
        work = self._meter.cards.begin()
        try:
            yield
        finally:
            self._cards = self._cards.then(self._meter.cards.end(work))

    def spent(self) -> Spending | None:
        """What was used until now; None when there is no meter, or no engine ran."""
        if self._meter is None or self._since is None:
            return None
        used = {"cpu_seconds": self._cpu_seconds, "seconds": self._seconds}
        return self._meter.spent(self._since, **used, units=self._units, cards=self._cards)
