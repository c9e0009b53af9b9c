"""Words that come while a change is under way share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from reelmill.errors import Unavailable
from reelmill.master.farm import Farm
from reelmill.master.gathering import Gathering
from reelmill.store.protocol import Tx
from reelmill.store.transition import Rules
from tests.served import Served


@pytest.fixture
def farm(served: Served) -> Farm:
    """What the parts of a running master share."""
    return served.master.farm


class Doubling:
    """Work that keeps what it was given at a time."""

    def __init__(self, bad: int | None = None) -> None:
        self.seen: list[list[int]] = []
        self._bad = bad

    def __call__(self, _tx: Tx, items: Sequence[int], _rules: Rules) -> list[int]:
        self.seen.append(list(items))
        if self._bad in items:
            raise ValueError(self._bad)
        return [2 * item for item in items]


async def test_words_of_many_share_a_change(farm: Farm) -> None:
    """The first goes alone at once; what came meanwhile is one change, and each hears its own."""
    work = Doubling()
    gathering = Gathering(farm, work)

    answers = await asyncio.gather(*(gathering.change([n, n + 100]) for n in range(5)))

    assert [[2 * n, 2 * n + 200] for n in range(5)] == answers
    assert [n for word in range(5) for n in (word, word + 100)] == [item for seen in work.seen for item in seen]
    assert 1 == len(work.seen)


async def test_one_that_fails_fails_alone(farm: Farm) -> None:
    """Its neighbours count all the same."""
    gathering = Gathering(farm, Doubling(bad=2))

    [one], [two], [three] = await asyncio.gather(*(gathering.change([n]) for n in (1, 2, 3)))

    assert (2, 6) == (one, three)
    assert isinstance(two, ValueError)


async def test_a_store_that_takes_nothing_is_told_to_all_and_then_forgotten(farm: Farm) -> None:
    """Whoever asked hears it; the next word is a change again."""

    def refuse(_tx: Tx, items: Sequence[int], _rules: Rules) -> list[int]:
        if refusing:
            raise Unavailable("not now")
        return list(items)

    refusing = True
    gathering = Gathering(farm, refuse)
    outcomes = await asyncio.gather(*(gathering.change([n]) for n in (1, 2)), return_exceptions=True)
    refusing = False

    assert [True, True] == [isinstance(outcome, Unavailable) for outcome in outcomes]
    assert [3] == await gathering.change([3])


async def test_who_stops_waiting_does_not_disturb_the_others(farm: Farm) -> None:
    """A worker may be gone when its word is committed."""
    gathering = Gathering(farm, Doubling())
    gone = asyncio.ensure_future(gathering.change([1]))
    other = asyncio.ensure_future(gathering.change([2]))
    await asyncio.sleep(0)
    gone.cancel()

    assert [4] == await other
    with pytest.raises(asyncio.CancelledError):
        await gone
