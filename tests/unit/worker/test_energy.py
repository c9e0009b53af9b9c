"""Energy and cost, by a tree of counters as the kernel has it, made in the test's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelmill.domain.energy import Prices, Spending
from reelmill.worker.energy import Meter, Rapl

_RANGE = 262_143_328_850
_TICKS = os.sysconf("SC_CLK_TCK")


def zone(root: Path, place: str, name: str, microjoules: int) -> Path:
    folder = root / place
    folder.mkdir(exist_ok=True, parents=True)
    for file, content in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", _RANGE)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def work(stat: Path, busy: float, idle: float = 1000) -> Path:
    """The machine has worked and idled so many CPU seconds."""
    user, resting = round(busy * _TICKS), round(idle * _TICKS)
    stat.write_text(f"cpu  {user} 0 0 {resting} 7 0 0 0 {user} 0\ncpu0 1 1 1 1\n")
    return stat


def test_packages_and_memory_are_added_and_what_they_contain_is_not(tmp_path: Path) -> None:
    """Cores and graphics are parts of a package; psys is all of it again."""
    counters = [
        zone(tmp_path, "intel-rapl:0", "package-0", 5),
        zone(tmp_path, "intel-rapl:1", "package-1", 5),
        zone(tmp_path, "intel-rapl:0:1", "dram", 5),
        zone(tmp_path, "intel-rapl:0:0", "core", 5),
        zone(tmp_path, "intel-rapl:2", "psys", 5),
    ]
    rapl = Rapl(tmp_path)
    assert 0.0 == rapl.joules()
    for counter in counters:
        counter.write_text("2000005\n")
    assert 6.0 == rapl.joules()


def test_a_counter_that_begins_anew_goes_on(tmp_path: Path) -> None:
    """As far as its range, and from 0."""
    counter = zone(tmp_path, "intel-rapl:0", "package-0", _RANGE - 3_000_000)
    rapl = Rapl(tmp_path)
    rapl.joules()
    counter.write_text("4000000")
    assert pytest.approx(7.0) == rapl.joules()


def test_attempts_that_share_a_machine_share_its_energy_by_their_cpu_time(tmp_path: Path) -> None:
    """Whatever else ran has its part too."""
    counter, stat = zone(tmp_path, "intel-rapl:0", "package-0", 0), tmp_path / "stat"
    meter = Meter(Prices(per_kwh=0.36), node_units=2, rapl=Rapl(tmp_path), stat=work(stat, 100))
    mark = meter.mark()
    counter.write_text("1000000000")
    work(stat, 150)
    one = meter.spent(mark, cpu_seconds=20, seconds=30, units=1)
    other = meter.spent(mark, cpu_seconds=5, seconds=30, units=1)
    assert (400.0, "rapl") == (one.energy_joules, one.energy_source)
    assert 100.0 == other.energy_joules
    assert (pytest.approx(0.00004), "kwh", "EUR") == (one.cost, one.cost_source, one.currency)


def test_without_counters_energy_is_modelled_or_none(tmp_path: Path) -> None:
    """Only with watts that somebody gave; a price by the kWh of unknown energy is no cost."""
    stat = work(tmp_path / "stat", 1)
    modelled = Meter(watts_per_core=6.0, rapl=Rapl(tmp_path), stat=stat)
    found = modelled.spent(modelled.mark(), cpu_seconds=10, seconds=5, units=1)
    assert (60.0, "model", None) == (found.energy_joules, found.energy_source, found.cost)
    blind = Meter(Prices(per_kwh=0.3), rapl=Rapl(tmp_path), stat=stat)
    assert Spending() == blind.spent(blind.mark(), cpu_seconds=10, seconds=5, units=1)


def test_a_price_by_the_hour_is_for_the_units_held(tmp_path: Path) -> None:
    """Half of a node for an hour is half its price, though nothing is known of energy."""
    meter = Meter(Prices(per_hour=2.0, currency="USD"), node_units=2, rapl=Rapl(tmp_path))
    found = meter.spent(meter.mark(), cpu_seconds=1, seconds=3600, units=1)
    assert (None, 1.0, "node_hours", "USD") == (found.energy_joules, found.cost, found.cost_source, found.currency)


def test_a_counter_that_goes_away_leaves_no_number(tmp_path: Path) -> None:
    """A sum without one of its parts would be wrong."""
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    gone = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    meter = Meter(rapl=Rapl(tmp_path), stat=work(tmp_path / "stat", 1))
    mark = meter.mark()
    gone.unlink()
    work(tmp_path / "stat", 2)
    assert Spending() == meter.spent(mark, cpu_seconds=1, seconds=1, units=1)
