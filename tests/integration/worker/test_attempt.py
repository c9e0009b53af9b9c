"""What an attempt reports."""

from __future__ import annotations

from pathlib import Path

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters
from reelmill.domain.lifecycle import Fail
from reelmill.domain.scenario import find_scenario
from reelmill.media.failed import AttemptFailed
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.depot import SharedFolder
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
