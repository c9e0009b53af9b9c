"""Plans to judge: a grant with what differs, and a source as the probe would describe it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.job import Parameters
from reelmill.domain.scenario import Scenario, find_scenario
from reelmill.worker.engines.engine import EncodePlan, make_plan
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]


@pytest.fixture
def source() -> MediaInfo:
    """A plain 720p film of ten seconds with one AAC track."""
    return MediaInfo(
        container="mp4",
        duration=10.0,
        video_duration=10.0,
        codec="h264",
        width=1280,
        height=720,
        fps=25.0,
        frames=250,
        audio_codecs=("aac",),
    )


@pytest.fixture
def plan_for() -> PlanFor:
    """Makes a plan: scenario or its name, source (None: synthetic), duration asked for, output name, threads."""

    def make(
        scenario: str | Scenario = "1080p30-h264",
        source: MediaInfo | None = None,
        *,
        duration: float | None = None,
        output: str = "out.mp4",
        units: int = 3,
        input_path: Path = Path("/media/in.mp4"),
    ) -> EncodePlan:
        grant = Grant(
            AttemptKey("job", 1),
            find_scenario(scenario) if isinstance(scenario, str) else scenario,
            "ffmpeg",
            Parameters(duration=duration, bitrate=4_000_000, output=output),
            units,
            30.0,
        )
        path = None if source is None else input_path
        return make_plan(grant, source, path, Path("/media/.reelmill/attempts/job.1") / output)

    return make
