"""An engine that needs more memory than it may take."""

from __future__ import annotations

from tests.integration.farm.conftest import FarmMaker


async def test_an_engine_out_of_memory_fails_by_name_and_its_worker_goes_on(make_farm: FarmMaker) -> None:
    """It is tried again, as another node may have more; the worker then runs what needs less."""
    farm = make_farm(engine_memory="250MB", retry_base_seconds=0, max_failures=2)
    await farm.start_master()
    await farm.worker.start()
    big = await farm.submit("1080p60-h264", duration=2)
    small = await farm.submit("480p30-h264", duration=0.2)
    seen = await farm.ended(big)
    assert ("failed", "resource_error", "out_of_memory", 2) == (
        seen["status"],
        seen["failure_reason"],
        seen["error_code"],
        seen["failures"],
    )
    assert "completed" == (await farm.ended(small))["status"]
