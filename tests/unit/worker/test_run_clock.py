"""The clock of an engine run: it counts what was run, and nothing of what was stood still."""

from __future__ import annotations

import time

import pytest

from reelmill.worker.run_clock import RunClock


class Wall:
    """The machine's steady clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """Stands in for the steady clock."""
    wall = Wall()
    monkeypatch.setattr(time, "monotonic", wall.monotonic)
    return wall


def test_time_stood_still_does_not_count(wall: Wall) -> None:
    """However often it is stopped, and while it is stopped too."""
    clock = RunClock()
    seen: list[float] = []
    for _ in range(2):
        wall.now += 3
        clock.stop()
        wall.now += 100
        seen.append(clock.seconds())
        clock.go_on()
        seen.append(clock.seconds())
    wall.now += 1
    assert [3, 3, 6, 6, 7] == [*seen, clock.seconds()]


def test_stopping_twice_is_stopping_once(wall: Wall) -> None:
    """And going on without having stopped is nothing."""
    clock = RunClock()
    clock.go_on()
    clock.stop()
    wall.now += 5
    clock.stop()
    assert (True, 0.0) == (clock.stands, clock.seconds())
    clock.go_on()
    clock.go_on()
    wall.now += 2
    assert (False, 2.0) == (clock.stands, clock.seconds())


def test_the_stretch_turns_a_pace_by_the_wall_into_a_pace_of_the_run(wall: Wall) -> None:
    """Ten seconds of work in thirty: what an engine says of its pace is a third of what it does."""
    clock = RunClock()
    assert 1.0 == clock.stretch()
    wall.now += 10
    assert 1.0 == clock.stretch()
    clock.stop()
    wall.now += 20
    clock.go_on()
    assert 3.0 == clock.stretch()
