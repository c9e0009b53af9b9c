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
    assert tries == lets_another_try(Failure(reason, code, "…"), "h264_nvenc", is_made=False)


def test_a_wrong_file_of_a_driver_is_its_fault_until_software_says_the_same() -> None:
    """Whether it is short because the input is, or because the driver lost its end, another encode tells."""
    truncated = Failure("input_error", "input_truncated", "…")
    assert lets_another_try(truncated, "h264_nvenc", is_made=True)
    assert not lets_another_try(truncated, "libx264", is_made=True)
