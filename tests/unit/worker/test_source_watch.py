"""When a live source is here, and when it is over."""

from __future__ import annotations

from reelmill.domain.stream import Received
from reelmill.worker.source_watch import STALLED_SECONDS, SourceWatch


class _Source:
    """A watch whose clock the test turns."""

    def __init__(self, wanted: float | None) -> None:
        self.now = 100.0
        self.frames = 0
        self.watch = SourceWatch(wanted, 60.0, lambda: self.now)

    def send(self, seconds: float) -> None:
        """Pictures of so many seconds come, over the connection that stands."""
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.frames += 8
            self.watch.note(self.frames, self.frames / 32)

    def break_off(self, seconds: float) -> None:
        """It is lost, and tried again so many seconds later."""
        self.watch.note(self.frames + 20, self.frames / 32 + 0.6, ended=True)
        self.watch.connect()
        self.frames = 0
        self.now += seconds


def test_a_source_that_is_waited_for_is_missing_when_nobody_waits_any_longer() -> None:
    source = _Source(600)
    assert (False, False, 600, None) == (
        source.watch.was_here,
        source.watch.is_missing(),
        source.watch.left(),
        source.watch.end(),
    )
    source.now += 61
    assert (True, None) == (source.watch.is_missing(), source.watch.end())


def test_the_duration_counts_from_the_first_picture_on_through_all_breaks() -> None:
    """The time for which it was away is over too, and is told."""
    source = _Source(20)
    source.now += 30
    source.send(5)
    assert (15.0, 25.0, True) == (source.watch.left(), source.watch.percent(), source.watch.is_here)
    source.break_off(4)
    assert (False, 11.0, None) == (source.watch.is_here, source.watch.left(), source.watch.end())
    source.send(10.75)
    assert ("duration", False) == (source.watch.end(), source.watch.is_overdue())
    source.send(0.25)
    assert source.watch.is_overdue()
    assert Received("duration", 1, 4.0) == source.watch.received("duration")


def test_an_encoder_that_is_too_slow_does_not_go_on_for_ever() -> None:
    """The first connection's engine ends by itself, within two seconds of the end."""
    source = _Source(5)
    source.send(6.75)
    assert not source.watch.is_overdue()
    source.send(0.25)
    assert source.watch.is_overdue()


def test_a_source_that_stays_away_is_over() -> None:
    """With a duration or without one; what an engine held back until its end is no sign of life."""
    for wanted in (None, 600):
        source = _Source(wanted)
        source.send(5)
        source.break_off(59)
        assert source.watch.end() is None
        source.now += 1
        assert "source" == source.watch.end()
        source.watch.forgive()
        assert source.watch.end() is None


def test_a_connection_that_stands_and_brings_no_pictures_is_good_for_nothing() -> None:
    """As when a publisher began anew behind it, with times that lie in the past."""
    source = _Source(None)
    source.send(5)
    source.now += STALLED_SECONDS - 0.1
    assert not source.watch.is_stalled()
    source.now += 0.1
    assert (True, 0.0) == (source.watch.is_stalled(), source.watch.percent())
    source.break_off(1)
    assert not source.watch.is_stalled()


def test_an_encoder_that_lags_does_not_hide_that_the_source_was_away() -> None:
    """Four seconds behind, it makes pictures of what came before for four seconds longer."""
    source = _Source(60)
    source.send(5)
    source.now += 4
    source.send(0.25)
    assert not source.watch.is_stalled()
    source.break_off(6)
    source.send(1)
    assert Received("source", 1, 10.0) == source.watch.received("source")


def test_an_encoder_that_begins_late_and_catches_up_tells_when_the_first_picture_was_sent() -> None:
    """Over each connection; two seconds were looked at before the encode began. A leap in its times tells nothing."""
    source = _Source(60)
    source.now += 2
    source.watch.note(8, 0.25)
    assert 59.75 == source.watch.left()
    source.now += 0.5
    source.frames = 80
    source.watch.note(80, 2.5)
    assert 57.5 == source.watch.left()
    source.watch.connect()
    source.now += 7
    source.watch.note(8, 0.25)
    source.now += 0.5
    source.watch.note(80, 2.5)
    assert Received("source", 1, 5.0) == source.watch.received("source")
    source.now += 0.25
    source.watch.note(88, 3600.0)
    assert Received("source", 1, 1.75) == source.watch.received("source")


def test_a_slow_encoder_is_no_silent_source() -> None:
    """Pictures that come in batches, each after five seconds: nine without any say nothing."""
    source = _Source(None)
    for _ in range(3):
        source.now += 5
        source.frames += 32
        source.watch.note(source.frames, source.frames / 32)
    source.now += 9
    assert not source.watch.is_stalled()
    source.now += 6
    assert source.watch.is_stalled()
