"""What a job says of its energy and cost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from reelmill.domain.energy import Prices
from reelmill.worker.attempt import Attempt
from reelmill.worker.energy import Meter, Rapl
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest


async def test_a_job_says_what_it_used_by_the_model_of_its_node(make_farm: FarmMaker, tmp_path: Path) -> None:
    """Encode and measurement together, times the watts that were stated; one of two units by the hour."""
    farm = make_farm()
    meter = Meter(Prices(per_hour=7.2, currency="USD"), 5.0, node_units=2, rapl=Rapl(tmp_path / "no counters"))
    farm.worker = farm.new_worker(make_attempt=partial(Attempt, meter=meter))
    await farm.start_master()
    await farm.worker.start()
    result = (await farm.ended(await farm.submit(duration=0.5, quality="ssim")))["result"]
    cpu = result["cpu_seconds"] + result["quality"]["cpu_seconds"]
    seconds = result["encode_seconds"] + result["quality"]["seconds"]
    assert (pytest.approx(5 * cpu, abs=0.01), "model") == (result["energy_joules"], result["energy_source"])
    assert (pytest.approx(0.001 * seconds, rel=0.01), "node_hours") == (result["cost"], result["cost_source"])
    assert "USD" == result["currency"]


async def test_where_nothing_is_known_there_is_no_number(farm: FarmUnderTest) -> None:
    """Neither counter nor model nor price."""
    result = (await farm.ended(await farm.submit(duration=0.2)))["result"]
    names = ("energy_joules", "energy_source", "cost", "cost_source", "currency")
    assert {None} == {result[name] for name in names}


async def test_attempts_that_come_to_nothing_say_what_they_used(make_farm: FarmMaker, tmp_path: Path) -> None:
    """One ran out of its time, one was canceled while it ran: both are there, by the model of their node."""
    farm = make_farm()
    meter = Meter(Prices(per_hour=7.2), 5.0, node_units=2, rapl=Rapl(tmp_path / "no counters"))
    farm.worker = farm.new_worker(make_attempt=partial(Attempt, meter=meter))
    await farm.start_master()
    await farm.worker.start()
    slow = await farm.submit("1080p60-h265", duration=600, timeout=1.0)
    slow = await farm.wait(slow, lambda seen: seen["lost_attempts"] != [])
    assert ("retrying", None) == (slow["status"], slow["result"])
    (await farm.http.post(f"/jobs/{slow['id']}/cancel")).raise_for_status()
    unwanted = await farm.submit("1080p60-h265", duration=600)
    await farm.wait(unwanted, lambda seen: seen["progress"] > 0)
    (await farm.http.post(f"/jobs/{unwanted['id']}/cancel")).raise_for_status()
    told = await farm.wait(unwanted, lambda seen: seen["lost_attempts"][0]["cost"] is not None)
    for job, reason in ((slow, "job_timed_out"), (told, "canceled")):
        [lost] = job["lost_attempts"]
        assert (1, "node-1", reason, "model") == tuple(
            lost[name] for name in ("attempt", "node_name", "reason", "energy_source")
        )
        assert lost["energy_joules"] > 0
        assert ("node_hours", "EUR") == (lost["cost_source"], lost["currency"])
    assert pytest.approx(7.2 * 1.0 / 3600, rel=0.5) == slow["lost_attempts"][0]["cost"]
