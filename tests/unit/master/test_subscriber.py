"""One who listens: what waits for it is bounded, and it hears everything or is told that it does not."""

from __future__ import annotations

import pytest

from reelmill.master import subscriber
from reelmill.master.happening import Wanted
from reelmill.master.subscriber import OVERFLOW, Subscriber


async def test_what_waits_comes_in_order_and_once() -> None:
    """And nothing is nothing."""
    one = Subscriber(Wanted())
    assert all(one.give(piece) for piece in (b"a", b"", b"b"))
    assert b"ab" == await one.take(60)
    assert b"" == await one.take(0)
    one.give(b"c")
    one.end()
    assert [b"c", None, None] == [await one.take(60) for _ in range(3)]


async def test_more_than_it_may_keep_is_the_end_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears that instead of a part; what comes behind is nobody's."""
    monkeypatch.setattr(subscriber, "MOST_WAITING", 10)
    one = Subscriber(Wanted())
    assert [True, True, False, True] == [one.give(b"x" * size) for size in (5, 5, 1, 100)]
    assert [OVERFLOW, None] == [await one.take(60) for _ in range(2)]
