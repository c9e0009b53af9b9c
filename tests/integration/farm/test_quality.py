"""Jobs that ask for their quality: it is in the result, and decides only when the job says so."""

from __future__ import annotations

import asyncio
import contextlib
import shutil

import psutil

from tests.footage import BIKES, CARPHONE
from tests.integration.farm.conftest import FarmUnderTest, engines


async def test_a_job_says_how_good_its_output_is(farm: FarmUnderTest) -> None:
    """Of a real input and of a synthetic job, whose pictures are drawn again."""
    shutil.copy(CARPHONE, farm.media / "in.mp4")
    real = await farm.submit(input="in.mp4", bitrate="2M", quality="vmaf", quality_sample=2)
    synthetic = await farm.submit(duration=0.5, bitrate="2M", quality="ssim", verify="full")
    unasked = await farm.ended(await farm.submit(duration=0.2))
    found = (await farm.ended(real))["result"]["quality"]
    assert ("vmaf", "vmaf_v0.6.1", 2, 60) == tuple(found[name] for name in ("metric", "model", "every", "frames"))
    assert 0 <= found["worst"] <= found["p5"] <= found["mean"] <= 100
    assert 60 < found["mean"]
    drawn = (await farm.ended(synthetic))["result"]["quality"]
    assert (15, None) == (drawn["frames"], drawn["reason"])
    assert 0.8 < drawn["mean"] <= 1
    assert unasked["result"]["quality"] is None


async def test_an_output_below_its_least_quality_fails_by_name(farm: FarmUnderTest) -> None:
    """At its first attempt: the same encode would be as bad again. One that is good enough completes."""
    shutil.copy(CARPHONE, farm.media / "in.mp4")
    bad = await farm.ended(await farm.submit(input="in.mp4", bitrate="200k", quality="vmaf", quality_min=99))
    assert ("failed", "runtime_error", "quality_too_low", 1) == tuple(
        bad[name] for name in ("status", "failure_reason", "error_code", "attempt")
    )
    assert "99 was asked for" in bad["error"]
    good = await farm.ended(await farm.submit(input="in.mp4", bitrate="2M", quality="vmaf", quality_min=20))
    assert "completed" == good["status"], good
    assert [good["result"]["output"]] == [
        str(path.relative_to(farm.media)) for path in (farm.media / "outputs").iterdir()
    ]


async def test_a_measurement_that_dies_costs_the_figures_and_not_the_job(farm: FarmUnderTest) -> None:
    """Completed, without a number; but a job that must reach a quality cannot without knowing it."""
    shutil.copy(BIKES, farm.media / "in.mp4")
    kept = await farm.submit(input="in.mp4", duration=3, quality="vmaf")
    await kill_the_metric()
    result = (await farm.ended(kept))["result"]
    assert (None, None, None) == tuple(result["quality"][name] for name in ("mean", "p5", "worst"))
    assert "signal 9" in result["quality"]["reason"]
    refused = await farm.submit(input="in.mp4", duration=3, quality="vmaf", quality_min=1)
    await kill_the_metric()
    seen = await farm.ended(refused)
    assert ("failed", "quality_not_measured", 1) == (seen["status"], seen["error_code"], seen["attempt"])
    assert "signal 9" in seen["error"]


async def kill_the_metric() -> None:
    async with asyncio.timeout(100):
        while True:
            for engine in engines():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "libvmaf" in " ".join(engine.cmdline()):
                        engine.kill()
                        return
            await asyncio.sleep(0.005)
