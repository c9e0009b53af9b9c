"""/tokens: which workers on other machines may join the farm."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.connection import ASGIConnection
from litestar.params import FromPath

from reelmill.bus.words import TOKENS
from reelmill.domain.credential import Join, make_token
from reelmill.domain.name import check_name
from reelmill.errors import Conflict, Forbidden, NotFound
from reelmill.master.api.answers import to_time
from reelmill.master.api.dependency import TheFarm
from reelmill.master.api.jobs import body
from reelmill.master.api.submission import check_text
from reelmill.store.tokens import KnownToken, add_token, list_tokens, revoke_token


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token without its secret; one that was revoked lets nobody in any more."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


class NewTokenAnswer(msgspec.Struct, frozen=True):
    """A new token. ``join`` holds its secret and is shown this once: it goes behind ``reelmill worker --join``."""

    id: str
    name: str
    created_at: datetime
    join: str


class TokensAnswer(msgspec.Struct, frozen=True):
    tokens: list[TokenAnswer]
    count: int


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /tokens``."""

    name: str


_DECODER = msgspec.json.Decoder(NewToken)


def _check_here(connection: ASGIConnection[Any, Any, Any, Any], _handler: object) -> None:
    """Forbidden from other machines: the API has no users yet, and whoever makes tokens gets everybody's jobs."""
    client = connection.client.host if connection.client is not None else ""
    own, _port = connection.scope["server"] or ("", 0)
    try:
        is_here = client == own or ip_address(client).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise Forbidden("tokens are made and revoked on the machine of a master only, as the API has no users yet")


class TokensController(Controller):
    """Everything below /tokens."""

    path = "/tokens"
    tags = ("tokens",)

    @get("/")
    async def list(self, farm: TheFarm) -> TokensAnswer:
        """List the tokens, those that count first."""
        found = await farm.store.read(list_tokens)
        return TokensAnswer(tokens=[_answer(token) for token in found], count=len(found))

    @post("/", guards=[_check_here], operation_class=body('{"name": "..."}'))
    async def create(self, request: Request[Any, Any, Any], farm: TheFarm) -> NewTokenAnswer:
        """Make a token with which workers may join; its secret is in this answer only."""
        asked = _DECODER.decode(check_text(await request.body()))
        check_name("name", asked.name, "a token's name")
        if farm.gate is None:
            advice = "start it with `reelmill up --fleet`, or a master with --bus"
            raise Conflict(f"no worker on another machine can join this farm: {advice}", code="no_bus")
        token = make_token()
        known = await farm.change(lambda tx, rules: add_token(tx, asked.name, token, rules.now))
        await TOKENS.tell(farm.bus, None)
        join = Join(token, farm.gate.hosts, farm.gate.pin, farm.gate.tls)
        return NewTokenAnswer(known.id, known.name, datetime.fromtimestamp(known.created_at, UTC), join.text)

    @delete("/{name:str}", guards=[_check_here], status_code=200)
    async def revoke(self, farm: TheFarm, name: FromPath[str]) -> TokenAnswer:
        """Let nobody join with the token, and let no word count of those who did; their jobs run again elsewhere."""
        known = await farm.change(lambda tx, rules: revoke_token(tx, name, rules.now))
        if known is None:
            counting = [token.name for token in await farm.store.read(list_tokens) if token.revoked_at is None]
            near = get_close_matches(name[:80], counting, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise NotFound(f"there is no token {name[:80]!r} that counts{meant}")
        await TOKENS.tell(farm.bus, None)
        return _answer(known)


def _answer(token: KnownToken) -> TokenAnswer:
    return TokenAnswer(token.id, token.name, datetime.fromtimestamp(token.created_at, UTC), to_time(token.revoked_at))
