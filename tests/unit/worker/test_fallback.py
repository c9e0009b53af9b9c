"""Which failures let the next encoder try."""

from __future__ import annotations

import pytest

from reelmill.domain.failure import Failure, FailureReason
from reelmill.worker.fallback import lets_another_try


@pytest.mark.parametrize(
    ("reason", "code", "tries"),
    [
        ("runtime_error", "engine_crashed", True),
        ("timeout", "engine_hung", True),
        ("timeout", "job_timed_out", False),
        ("platform_error", "no_space", False),
        ("input_error", "input_invalid", False),
    ],
)
def test_a_driver_is_blamed_for_all_but_the_job_its_time_and_the_disk(
    reason: FailureReason, code: str, *, tries: bool
) -> None:
    assert tries == lets_another_try(Failure(reason, code, "…"), "h264_nvenc")
