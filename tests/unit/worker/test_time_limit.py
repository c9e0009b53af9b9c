"""How long an encode may take when nobody said: it follows the length of what is encoded."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from reelmill.domain.job import Parameters
from reelmill.worker.attempt import time_limit
from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]
UNSAID = Parameters(bitrate=1_000_000)


@pytest.mark.parametrize(("duration", "expected"), [(None, 600 + 240 * 10), (0.5, 600 + 240 * 0.5), (300, 72_600)])
def test_a_synthetic_jobs_time_follows_its_duration(plan_for: PlanFor, duration: float | None, expected: float) -> None:
    """Ten minutes, and four for each second; its duration is ten seconds unless it says so."""
    assert expected == time_limit(UNSAID, plan_for(duration=duration))


@pytest.mark.parametrize(("length", "cut", "expected"), [(60.0, None, 15_000), (60.0, 5.0, 1_800), (5.0, 60.0, 1_800)])
def test_a_real_jobs_time_follows_what_the_probe_found(
    source: MediaInfo, plan_for: PlanFor, length: float, cut: float | None, expected: float
) -> None:
    """The probed length of the input, or where the job cuts it."""
    film = msgspec.structs.replace(source, duration=length, video_duration=length)
    assert expected == time_limit(UNSAID, plan_for(source=film, duration=cut))


def test_a_timeout_that_was_asked_for_is_the_limit(plan_for: PlanFor) -> None:
    """Shorter or longer than the default."""
    limits = [time_limit(Parameters(bitrate=1, timeout=asked), plan_for()) for asked in (0.5, 86_400.0)]
    assert [0.5, 86_400.0] == limits
