"""The scheduler: gives jobs to workers that ask, and keeps the question open when there is nothing to give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from reelmill.bus.protocol import Subscription
from reelmill.bus.words import CLAIM, GONE, ROOM, Claim, Room
from reelmill.domain.attempt import Grant, Offer
from reelmill.master.farm import Farm
from reelmill.service import PeriodicService
from reelmill.store.claim import claim_each, next_due
from reelmill.store.protocol import Tx
from reelmill.store.transition import Rules

log = structlog.get_logger()

_CHECK_SECONDS = 5.0
"""How often parked claims are tried again although nothing rang: a ring may be lost."""

_AT_ONCE = 128
"""Claims that share a commit and its statements."""

_LONGEST_WAIT = 60.0


class _Parked:
    """A claim that waits ``until`` a time of the loop. ``served`` is done with the grants, or then with none."""

    def __init__(self, asked: Claim) -> None:
        self.offer = asked.offer
        self.number = asked.number
        self.until = asyncio.get_running_loop().time() + min(asked.wait_seconds, _LONGEST_WAIT)
        self.has_failed = False
        """A try failed of this one and not of others, so another would: it is answered when its time is over."""
        self.served: asyncio.Future[list[Grant]] = asyncio.get_running_loop().create_future()


class Scheduler(PeriodicService):
    """Answers claims. Each round tries all parked claims together; the store's doorbell starts one."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(_CHECK_SECONDS)
        self._farm = farm
        self._parked: dict[str, _Parked] = {}
        self._trying = asyncio.Lock()
        self._due: float | None = None
        self._subscriptions: list[Subscription] = []
        self._unlisten: Callable[[], None] | None = None

    async def start(self) -> None:
        await super().start()
        if not self._subscriptions:
            bus = self._farm.bus
            self._subscriptions = [
                await CLAIM.answer(bus, self._answer),
                await ROOM.listen(bus, self._note_room),
                await GONE.listen(bus, self._unpark),
            ]
            self._unlisten = self._farm.store.doorbell.listen(self.wake)

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions = []
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await super().stop()
        for node_id in list(self._parked):
            await self._unpark(node_id)

    async def _answer(self, asked: Claim) -> list[Grant]:
        """Grants for the worker; none after ``wait_seconds``, or when the worker asks anew."""
        await self._unpark(asked.offer.node_id)
        parked = self._parked[asked.offer.node_id] = _Parked(asked)
        self.wake()
        try:
            async with asyncio.timeout_at(parked.until):
                return await asyncio.shield(parked.served)
        except TimeoutError:
            async with self._trying:  # a try under way may be about to grant it something
                if self._parked.get(asked.offer.node_id) is parked:  # and not a newer claim of the same node
                    self._answer_parked(asked.offer.node_id, [])
        except asyncio.CancelledError:  # nobody is to have the answer
            if self._parked.get(asked.offer.node_id) is parked:
                del self._parked[asked.offer.node_id]
            raise
        return await parked.served

    async def _note_room(self, room: Room) -> None:
        if room.free_units <= 0:
            await self._unpark(room.node_id)
            return
        parked = self._parked.get(room.node_id)
        if parked is not None and parked.number == room.number:
            now = {"free_units": room.free_units, "live_units": room.live_units}
            parked.offer = msgspec.structs.replace(parked.offer, **now)
            self.wake()

    async def _unpark(self, node_id: str) -> None:
        async with self._trying:  # a try under way may be about to grant it something
            self._answer_parked(node_id, [])

    def _answer_parked(self, node_id: str, grants: list[Grant]) -> None:
        parked = self._parked.pop(node_id, None)
        if parked is not None and not parked.served.done():
            parked.served.set_result(grants)

    def patience(self) -> float:
        """Sooner than usual when a job's backoff ends."""
        if self._due is None:
            return _CHECK_SECONDS
        return min(_CHECK_SECONDS, max(0.01, self._due - self._farm.clock.now()))

    async def run_once(self) -> None:
        """Try every parked claim once. When all of them fail that is the round's failure, else it is their own."""
        self._due = None
        failed: list[tuple[_Parked, Exception]] = []
        tried = 0
        all_parked = list(self._parked.items())
        for start in range(0, len(all_parked), _AT_ONCE):
            async with self._trying:  # whoever takes a claim back waits for these, and not for all
                some = all_parked[start : start + _AT_ONCE]
                parked = [one for node_id, one in some if self._parked.get(node_id) is one and self._is_to_try(one)]
                failed += await self._try(parked)
                tried += len(parked)
        self._due = await self._farm.store.read(next_due) if self._parked else None
        if failed and len(failed) == tried:
            raise failed[0][1]
        for one, error in failed:
            one.has_failed = True
            log.error("claim_failed", node=one.offer.node_id, exc_info=error)

    def _is_to_try(self, parked: _Parked) -> bool:
        """Whether a try may help it; one whose time is over, for which no worker waits, is answered with nothing."""
        if asyncio.get_running_loop().time() < parked.until:
            return not parked.has_failed
        self._answer_parked(parked.offer.node_id, [])
        return False

    async def _try(self, parked: Sequence[_Parked]) -> list[tuple[_Parked, Exception]]:
        """One after the other in one commit: between the claims of one master the order is exact. Those that failed."""
        offers = [one.offer for one in parked]
        answers = await self._farm.change_together(offers, self._claim, waits_for_no_row=True) if offers else []
        failed: list[tuple[_Parked, Exception]] = []
        for one, grants in zip(parked, answers, strict=True):
            if isinstance(grants, Exception):
                failed.append((one, grants))
            elif grants:
                self._farm.metrics.claims.inc()
                self._farm.metrics.grants.inc(len(grants))
                self._answer_parked(one.offer.node_id, grants)
        return failed

    def _claim(self, tx: Tx, offers: Sequence[Offer], rules: Rules) -> list[list[Grant]]:
        return claim_each(tx, offers, self._farm.lease_seconds, rules)
