"""The doorman: judges who may connect to the bus as a worker, and remembers which tokens count."""

from __future__ import annotations

import structlog

from reelmill.bus.protocol import Subscription
from reelmill.bus.words import TOKENS
from reelmill.domain.credential import NodeKey, read_token
from reelmill.errors import Forbidden
from reelmill.master.farm import Farm
from reelmill.service import PeriodicService
from reelmill.store.tokens import accepts, counting_tokens

log = structlog.get_logger()

_LOOK_SECONDS = 5.0
"""How often the tokens are read anew although nobody told of a change: the word may be lost."""


class Doorman(PeriodicService):
    """``trusts`` answers at once, so it judges by what was read last: a revoked token counts five seconds at most."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(_LOOK_SECONDS)
        self._farm = farm
        self._counting: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        await self.run_once()
        if self._subscription is None:
            self._subscription = await TOKENS.listen(self._farm.bus, self._look)
        await super().start()

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None
        await super().stop()

    async def run_once(self) -> int:
        """Read which tokens count; how many do."""
        before, self._counting = self._counting, await self._farm.store.read(counting_tokens)
        for token_id in before - self._counting:
            if self._farm.gate is not None:
                self._farm.gate.dismiss(token_id)
        return len(self._counting)

    async def _look(self, _nothing: None) -> None:
        self.wake()

    def trusts(self, token_id: str) -> bool:
        """Whether words of workers that came with the token count."""
        return token_id in self._counting

    async def refuses(self, token_id: str) -> bool:
        """Whether the token counts no more, by the store's own word: one that does not never will again."""
        if token_id in self._refused:
            return True
        await self.run_once()
        if token_id in self._counting:
            return False
        log.warning("revoked_token_used", token=token_id, advice="its workers are told that it counts no more")
        self._refused.add(token_id)
        return True

    async def admit(self, user: str, password: str) -> str:
        """The id of the token with which that worker may connect as node ``user``; Forbidden when it may not.

        The password is the token and the secret of the node's key, with a colon between.
        """
        token_text, _, node_secret = password.partition(":")
        token = read_token(token_text)
        if token is None or not await self._farm.store.read(lambda tx: accepts(tx, token)):
            raise Forbidden("the token is unknown or revoked")
        if NodeKey(node_secret).node_id != user:
            raise Forbidden("the key is not that of the node")
        if token.id not in self._counting:
            await self.run_once()  # it is new
        return token.id
