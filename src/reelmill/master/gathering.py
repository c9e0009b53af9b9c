"""Words of many workers that come at a time: they share the statements of one change, and its commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from reelmill.master.farm import Farm
from reelmill.store.protocol import Tx
from reelmill.store.transition import Rules

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 512


class _Waiting(NamedTuple, Generic[T, R]):
    items: Sequence[T]
    outcomes: asyncio.Future[list[R | Exception]]


class Gathering(Generic[T, R]):
    """Makes one change after the other; what comes while one is under way is the next, all together.

    A word that comes alone waits for nobody, so this costs nothing while there are few.
    """

    def __init__(self, farm: Farm, work: Callable[[Tx, Sequence[T], Rules], Sequence[R]]) -> None:
        self._farm = farm
        self._work = work
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._changing: asyncio.Task[None] | None = None

    async def change(self, items: Sequence[T]) -> list[R | Exception]:
        """What the work makes of each item, behind the durable commit; see `Farm.change_together`."""
        waiting = _Waiting[T, R](items, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._changing is None:
            self._changing = asyncio.create_task(self._change_all(), name="gathering")
        return await waiting.outcomes

    async def _change_all(self) -> None:
        while self._waiting:
            await self._change_some()
        self._changing = None

    async def _change_some(self) -> None:
        some = [self._waiting.popleft()]
        count = len(some[0].items)
        while self._waiting and count + len(self._waiting[0].items) <= _AT_ONCE:
            some.append(self._waiting.popleft())
            count += len(some[-1].items)
        try:
            outcomes = await self._farm.change_together([item for one in some for item in one.items], self._work)
        except Exception as error:  # all of them hear it, and their workers ask again
            for one in some:
                if not one.outcomes.done():
                    one.outcomes.set_exception(error)
            return
        for one in some:
            own, outcomes = outcomes[: len(one.items)], outcomes[len(one.items) :]
            if not one.outcomes.done():  # who asked may be gone
                one.outcomes.set_result(own)
