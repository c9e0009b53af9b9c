"""Presence: a worker whose connection ended, and who does not come back at once, is lost now and not a lease later."""

from __future__ import annotations

import asyncio

import structlog

from reelmill.bus.protocol import Departed, Departures, Subscription
from reelmill.bus.words import GONE, MASTER_LEFT, ping_question
from reelmill.master.farm import Farm
from reelmill.service import Service
from reelmill.store.attempts import lose_node
from reelmill.store.nodes import last_sign

log = structlog.get_logger()

RETURN_SECONDS = 1.5
"""So long a worker has to connect again, to this server or another, before its jobs are given to others."""

_PING_SECONDS = 0.5
_PAUSE_SECONDS = 0.1
_MOST_AT_ONCE = 64
"""When more leave in one moment it is not they who failed, but a server or a network: that is left to the leases."""


class Presence(Service):
    """Looks, when a connection ends, whether its owner is still there."""

    def __init__(self, farm: Farm, departures: Departures) -> None:
        self._farm = farm
        self._departures = departures
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        if self._subscription is None:
            self._subscription = await self._departures.watch(self._note)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _note(self, departed: Departed) -> None:
        if departed.is_master:
            await MASTER_LEFT.tell(self._farm.bus, departed.id)
        elif departed.id not in self._looking and len(self._looking) < _MOST_AT_ONCE:
            task = self._looking[departed.id] = asyncio.create_task(self._look_for(departed.id))
            task.add_done_callback(lambda _: self._looking.pop(departed.id))

    async def _look_for(self, node_id: str) -> None:
        left_at = self._farm.clock.now()
        try:
            seen_at = await self._farm.store.read(lambda tx: last_sign(tx, node_id))
            if seen_at is None or await self._answers(node_id):
                return
            jobs = await self._farm.change(lambda tx, rules: lose_node(tx, node_id, left_at, rules))
            if jobs is not None:
                await GONE.tell(self._farm.bus, node_id)
                log.warning("node_lost", node=node_id, jobs=jobs)
        except Exception:  # its leases run out all the same
            log.exception("node_not_looked_for", node=node_id)

    async def _answers(self, node_id: str) -> bool:
        """Whether the node's worker says that it is there, before its time to come back is over."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + RETURN_SECONDS
        while loop.time() < limit:
            if await ping_question(node_id).ask(self._farm.bus, None, _PING_SECONDS):
                return True
            await asyncio.sleep(_PAUSE_SECONDS)
        return False
