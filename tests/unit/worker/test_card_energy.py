"""The energy of NVIDIA cards, by a made-up library: nothing is known of how a real one behaves beyond its manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.domain.energy import Prices, Spending
from reelmill.worker.card_energy import Cards, find_nvml
from reelmill.worker.energy import Account, Meter, Rapl
from reelmill.worker.process import Exit
from tests.made_up_nvml import MadeUpNvml


def test_all_cards_are_added_up() -> None:
    """From when the attempt began, not from when the driver was loaded."""
    nvml = MadeUpNvml(7_000_000, 500)
    cards = Cards(nvml)
    nvml.show(7_001_000, 1_000)
    since = cards.begin()
    nvml.show(7_003_000, 2_500)
    assert 3.5 == cards.end(since)


def test_attempts_that_encode_at_a_time_share_what_was_used_then() -> None:
    """Equally; their sum is what the counter says, and what an idle card uses is nobody's."""
    nvml = MadeUpNvml(0)
    cards = Cards(nvml)
    one = cards.begin()
    nvml.show(4_000)
    other = cards.begin()
    nvml.show(10_000)
    assert 4.0 + 3.0 == cards.end(one)
    nvml.show(12_000)
    assert 3.0 + 2.0 == cards.end(other)
    nvml.show(50_000)
    late = cards.begin()
    nvml.show(51_000)
    assert 1.0 == cards.end(late)


def test_a_driver_that_fails_leaves_no_number_and_hurts_nobody() -> None:
    """Neither of the attempts that were under way nor of later ones, for a part of it may be missing."""
    nvml = MadeUpNvml(0)
    cards = Cards(nvml)
    one = cards.begin()
    nvml.fails = True
    other = cards.begin()
    nvml.fails = False
    nvml.show(5_000)
    assert [None, None] == [cards.end(one), cards.end(other)]
    assert cards.end(cards.begin()) is None


def test_a_counter_that_begins_anew_leaves_no_number() -> None:
    """The driver was loaded again: what its counter showed then nobody knows."""
    nvml = MadeUpNvml(9_000)
    cards = Cards(nvml)
    since = cards.begin()
    nvml.show(1_000)
    assert cards.end(since) is None
    nvml.show(9_500)
    assert cards.end(cards.begin()) is None


@pytest.mark.parametrize("nvml", [None, MadeUpNvml(), MadeUpNvml(None), MadeUpNvml(100, None)])
def test_what_is_not_counted_is_not_measured(nvml: MadeUpNvml | None) -> None:
    """No library, no card, a card without a counter, alone or beside one that has it."""
    cards = Cards(nvml)
    assert cards.end(cards.begin()) is None


def test_the_real_library_without_a_driver_is_no_measurement() -> None:
    """The package of the extra `gpu` is here, and what it needs of the machine is not."""
    nvml = find_nvml()
    assert nvml is not None
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA driver")
    with pytest.raises(nvml.NVMLError):
        nvml.nvmlInit()
    cards = Cards(nvml)
    assert cards.end(cards.begin()) is None


def spent(folder: Path, nvml: MadeUpNvml | None, *encoders: str, watts: float | None = 5.0) -> Spending:
    """What an attempt used that ran these encoders, each for 10 CPU seconds, and a second on any card at 10 W."""
    meter = Meter(Prices(per_kwh=3600.0), watts, rapl=Rapl(folder), cards=Cards(nvml))
    account = Account(meter, 1)
    account.begin()
    for encoder in encoders:
        with account.on_device_of(encoder):
            account.add(Exit(0, "", 10.0, 10.0, "exited"))
    found = account.spent()
    assert found is not None
    return found


def test_processor_and_cards_are_told_apart_and_both_are_paid_for(tmp_path: Path) -> None:
    """Each with its own source; a try on the card before a software encoder counts."""
    found = spent(tmp_path, MadeUpNvml(0, step=10_000), "h264_nvenc", "libx264")
    assert (100.0, "model", 10.0, "nvml") == (
        found.energy_joules,
        found.energy_source,
        found.gpu_joules,
        found.gpu_source,
    )
    assert (pytest.approx(0.11), "kwh") == (found.cost, found.cost_source)


def test_only_who_encodes_on_a_card_has_its_energy(tmp_path: Path) -> None:
    """Software beside it has none, and no figure for it either."""
    found = spent(tmp_path, MadeUpNvml(0, step=10_000), "libx264")
    assert (None, None, pytest.approx(0.05)) == (found.gpu_joules, found.gpu_source, found.cost)


def test_the_cost_of_energy_is_unknown_when_a_part_of_it_is(tmp_path: Path) -> None:
    """A card whose energy nobody measured; a processor of which nothing is known, beside a card that is."""
    unknown = spent(tmp_path, None, "h264_nvenc")
    assert (50.0, None, None) == (unknown.energy_joules, unknown.gpu_joules, unknown.cost)
    card_only = spent(tmp_path, MadeUpNvml(0, step=10_000), "h264_nvenc", watts=None)
    assert (None, 10.0, "nvml", None) == (
        card_only.energy_joules,
        card_only.gpu_joules,
        card_only.gpu_source,
        card_only.cost,
    )
    assert card_only.is_known
