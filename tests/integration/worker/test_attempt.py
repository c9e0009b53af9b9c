"""What an attempt reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters, VerifyDepth
from reelmill.domain.lifecycle import Fail, Settle
from reelmill.domain.scenario import find_scenario
from reelmill.media.failed import AttemptFailed
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.depot import SharedFolder
from reelmill.worker.inventory import discover
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from tests.listener import Listener
from tests.samples import LEASE


class _BadProbe(Probe):
    """Finds every input bad, in words with a NUL."""

    def __init__(self) -> None:
        pass

    async def probe(self, path: Path, *, count_frames: bool = False) -> MediaInfo:
        raise AttemptFailed(Failure("input_error", "input_invalid", f"{path.name}: bad\0tag"))


async def test_a_report_holds_no_nul(tmp_path: Path) -> None:
    """A master of any version, on any database, can store it."""
    reporter = Listener()
    parameters = Parameters(input="a.mp4", output="b.mp4", duration=1.0, bitrate=2_000_000)
    grant = Grant(AttemptKey("job", 1), find_scenario("480p30-h264"), "ffmpeg", parameters, 1, LEASE)

    await Attempt(grant, Workshop("node", SharedFolder(tmp_path), {}, _BadProbe(), reporter), lambda _grant: None).run()

    [event] = [report.event for report in reporter.said]
    assert Fail(Failure("input_error", "input_invalid", "a.mp4: bad\N{REPLACEMENT CHARACTER}tag")) == event


class _Looker(Probe):
    """A probe that notes whether the room was given back when it looked at the output."""

    def __init__(self) -> None:
        super().__init__()
        self.is_room_free = False
        self.was_room_free = False

    async def probe(self, path: Path, *, count_frames: bool = False) -> MediaInfo:
        self.was_room_free = self.is_room_free
        return await super().probe(path, count_frames=count_frames)

    def give_back(self, _: Grant) -> None:
        self.is_room_free = True


@pytest.mark.parametrize(("verify", "is_free"), [("ends", True), ("full", False)])
async def test_the_next_job_need_not_wait_for_the_look_at_an_output(
    tmp_path: Path, verify: VerifyDepth, *, is_free: bool
) -> None:
    """Little work, which one that decodes all of it is not; also where another engine might have taken over."""
    reporter, looker = Listener(), _Looker()
    engines = (await discover()).engines()
    assert "gstreamer" in engines
    parameters = Parameters(output="b.mp4", duration=0.5, bitrate=1_000_000, verify=verify)
    scenario = find_scenario("480p30-h264")
    grant = Grant(AttemptKey("job", 1), scenario, "ffmpeg", parameters, 1, LEASE, other_engines=("gstreamer",))
    try:
        shop = Workshop("node", SharedFolder(tmp_path), engines, looker, reporter)
        await Attempt(grant, shop, looker.give_back).run()
    finally:
        await looker.stop()
    assert [True] == [True for report in reporter.said if isinstance(report.event, Settle)]
    assert (is_free, True) == (looker.was_room_free, looker.is_room_free)
