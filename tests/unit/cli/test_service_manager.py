"""When the service manager wants signs of life, and how often."""

from __future__ import annotations

import os

import pytest

from reelmill.cli.service_manager import watchdog_interval


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_sign_of_life_comes_twice_in_the_time_that_is_allowed(
    environment: dict[str, str], expected: float | None
) -> None:
    """Only when it is asked for, and of this process: the variables also reach its children."""
    assert expected == watchdog_interval(environment)
