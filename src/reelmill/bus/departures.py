"""Whose connections to the bus end: NATS says it at once, a lease only when it runs out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from reelmill.bus.admission import ACCOUNT
from reelmill.bus.identity import MASTER_ROLE
from reelmill.bus.nats import NatsBus
from reelmill.bus.protocol import Departed, Departures, Subscription

log = structlog.get_logger()

DISCONNECTED = f"$SYS.ACCOUNT.{ACCOUNT}.DISCONNECT"
"""What the server tells its system account; its configuration lets our account hear it."""


class _Client(msgspec.Struct):
    user: str = ""
    name: str = ""


class _Disconnected(msgspec.Struct):
    client: _Client


class NatsDepartures(Departures):
    """What the servers say of our account."""

    def __init__(self, bus: NatsBus, master_user: str) -> None:
        """``master_user`` is the name under which masters connect; workers connect under their node's id."""
        self._bus = bus
        self._master_user = master_user

    async def watch(self, on_departure: Callable[[Departed], Awaitable[None]]) -> Subscription:
        async def hear(message: Msg) -> None:
            try:
                client = msgspec.json.decode(message.data, type=_Disconnected).client
                is_master = client.user == self._master_user
                await on_departure(Departed(client.name if is_master else client.user, is_master))
            except Exception:  # the leases run out all the same
                log.exception("departure_not_read")

        return await self._bus.subscribe(DISCONNECTED, hear, queue=MASTER_ROLE)
