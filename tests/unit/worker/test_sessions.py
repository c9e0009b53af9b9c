"""Sessions of hardware encoders: never more at once than the operator allows, and nobody is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from reelmill.media.failed import AttemptFailed
from reelmill.worker.sessions import Sessions


async def test_no_more_at_once_than_allowed_whatever_the_codec() -> None:
    """The limit is the device's, and h264 and h265 share it; software and other devices have none."""
    sessions = Sessions({"nvenc": 1})
    async with sessions.hold("h264_nvenc", waits=False):
        with pytest.raises(AttemptFailed) as caught:
            async with sessions.hold("hevc_nvenc", waits=False):
                pass
        assert "encoder_busy" == caught.value.failure.code
        async with sessions.hold("libx264", waits=False), sessions.hold("h264_qsv", waits=False):
            pass
    async with sessions.hold("hevc_nvenc", waits=False):
        pass


async def test_who_waits_has_its_turn_and_one_that_gives_up_is_passed_over() -> None:
    """First come, first served; who does not wait may not go before those who do."""
    sessions = Sessions({"nvenc": 1})
    turns: list[str] = []

    async def wait(name: str) -> None:
        async with sessions.hold("h264_nvenc", waits=True):
            turns.append(name)

    async with sessions.hold("h264_nvenc", waits=True):
        waiting = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait({waiting[0]})
        assert [] == turns
    with pytest.raises(AttemptFailed):
        async with sessions.hold("h264_nvenc", waits=False):
            pass
    await asyncio.gather(*waiting[1:])
    assert ["b", "c"] == turns
