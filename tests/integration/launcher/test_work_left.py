"""How much work of a launch is left, as a real master tells it."""

from __future__ import annotations

from reelmill.launcher.answers import LaunchState
from reelmill.launcher.client import MasterClient
from reelmill.launcher.work_left import WorkLeft
from tests.integration.launcher.conftest import Farm


async def test_work_is_weighed_and_not_counted(farm: Farm) -> None:
    """Ten small jobs and a big one that is most of the work: with the small ones gone the end is still far away."""
    small = {"scenario": "480p30-h264", "parameters": {"duration": 1}}
    big = {"scenario": "4K30-h264", "parameters": {"duration": 100}}
    async with MasterClient(farm.url) as client:
        await client.post("/jobs/batch", body={"launch": {"id": "the-launch"}, "jobs": [big, *[small] * 10]})
        work = WorkLeft(client)
        await work.look(await client.get("/launches/the-launch", LaunchState), 0.0)
        assert "" == work.describe()
        for job in (await farm.jobs())[1:]:
            await client.post(f"/jobs/{job.id}/cancel")
        state = await client.get("/launches/the-launch", LaunchState)
        assert 1 == state.open
        await work.look(state, 10.0)
        band = work.band()
        assert band is not None
        assert band.low < 800 < band.high
        assert "done in " in work.describe()
        for now in range(20, 900, 20):
            await work.look(state, now)
        assert "nothing got done for" in work.describe()
