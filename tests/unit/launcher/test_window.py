"""More is sent while the master answers quickly, half as much when it does not."""

from __future__ import annotations

from reelmill.launcher.window import QUICK_SECONDS, SLOW_SECONDS, Window


def test_requests_double_until_they_are_as_large_as_they_may_be() -> None:
    """Then there are more of them at a time, one more for each round of answers."""
    window = Window(50, most_batch=1000, most_at_once=3)
    seen: list[tuple[int, int]] = []
    for _ in range(11):
        seen.append((window.batch, window.at_once))
        assert not window.note_answer(window.batch, 0.01)
    sizes = [(50, 1), (100, 1), (200, 1), (400, 1), (800, 1), (1000, 1), (1000, 2), (1000, 2), (1000, 3)]
    assert [*sizes, (1000, 3), (1000, 3)] == seen


def test_trouble_halves_and_growth_is_slow_from_then_on() -> None:
    """First fewer requests at a time, then smaller ones; never less than one job."""
    window = Window(50, most_batch=1000, most_at_once=3)
    for _ in range(20):
        window.note_answer(window.batch, 0.01)
    for expected in [(1000, 1), (500, 1), (250, 1)]:
        assert window.note_trouble()
        assert expected == (window.batch, window.at_once)
    window.note_answer(250, 0.01)
    assert 300 == window.batch
    for _ in range(20):
        window.note_trouble()
    assert (1, 1) == (window.batch, window.at_once)
    assert not window.note_trouble()


def test_slow_answers_are_a_sign_too() -> None:
    """One that takes a while is no reason to grow, one that takes long is a reason to send less."""
    window = Window(50, most_batch=1000, most_at_once=3)
    assert not window.note_answer(50, QUICK_SECONDS + 0.1)
    assert 50 == window.batch
    assert window.note_answer(50, SLOW_SECONDS + 0.1)
    assert 25 == window.batch


def test_a_size_that_was_asked_for_is_never_exceeded() -> None:
    """``--batch-size 20`` means 20; the short last batch of a launch says nothing."""
    window = Window(20, most_batch=20, most_at_once=2)
    window.note_answer(20, 0.01)
    assert (20, 2) == (window.batch, window.at_once)
    window = Window(50, most_batch=1000, most_at_once=2)
    window.note_answer(7, 0.01)
    assert 50 == window.batch
