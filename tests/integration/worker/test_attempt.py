"""What an attempt reports."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reelmill.domain.attempt import AttemptKey, AttemptReport, Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters
from reelmill.domain.lifecycle import Fail
from reelmill.domain.scenario import find_scenario
from reelmill.media.failed import AttemptFailed
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.depot import SharedFolder
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.reporter import Reporter
from tests.samples import LEASE


class _Listener(Reporter):
    """Keeps what it is given to send, and says that it counts."""

    def __init__(self) -> None:
        self.said: list[AttemptReport] = []

    def send(self, report: AttemptReport) -> asyncio.Future[bool]:
        self.said.append(report)
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        verdict.set_result(True)
        return verdict


class _BadProbe(Probe):
    """Finds every input bad, in words with a NUL."""

    def __init__(self) -> None:
        pass

    async def probe(self, path: Path, *, count_frames: bool = False) -> MediaInfo:
        raise AttemptFailed(Failure("input_error", "input_invalid", f"{path.name}: bad\0tag"))


async def test_a_report_holds_no_nul(tmp_path: Path) -> None:
    """A master of any version, on any database, can store it."""
    reporter = _Listener()
    parameters = Parameters(input="a.mp4", output="b.mp4", duration=1.0, bitrate=2_000_000)
    grant = Grant(AttemptKey("job", 1), find_scenario("480p30-h264"), "ffmpeg", parameters, 1, LEASE)

    await Attempt(grant, Workshop("node", SharedFolder(tmp_path), {}, _BadProbe(), reporter), lambda _grant: None).run()

    [event] = [report.event for report in reporter.said]
    assert Fail(Failure("input_error", "input_invalid", "a.mp4: bad\N{REPLACEMENT CHARACTER}tag")) == event
