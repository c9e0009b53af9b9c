"""Who may connect to the bus of a fleet: NATS asks the masters (its auth callout), and they answer with a signed pass.

The pass, a NATS user JWT, lets a worker speak only as itself and hear only what is for it. Passes are signed with the
issuer's key (Ed25519, in the encodings of NATS: nkeys and JWTs); its public half is in the server's configuration.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.msg import Msg

from reelmill.bus.identity import Identity
from reelmill.bus.nats import ECHO, NatsBus
from reelmill.bus.protocol import Subscription
from reelmill.bus.words import WORKER_SAYS, worker_hears
from reelmill.errors import ReelmillError
from reelmill.service import Service

log = structlog.get_logger()

ACCOUNT = "REELMILL"
"""The account of the server's configuration in which masters and workers meet."""

_CALLOUT = "$SYS.REQ.USER.AUTH"
_PASS_SECONDS = 24 * 3600
"""A pass ends behind this, or sooner, down to half of it: the server then closes the connection, and the worker comes
again. Not all at once, though they may have come at once."""

_AT_ONCE = 32
_TOO_LATE_SECONDS = 4.0
"""Behind this the server has given up waiting, and its client has come again: those are answered first."""
_REPLY_SECONDS = 30
_ACCOUNT_PREFIX = 0
"""Of public account keys in nkeys: they begin with A."""


class Applicant(NamedTuple):
    """Who wants in: the name and the password that were given, and from where."""

    user: str
    password: str
    host: str


Judge = Callable[[Applicant], Awaitable[Identity]]
"""The identity of a worker that may connect; Forbidden when it may not."""


class Issuer:
    """The key that signs passes; ``seed`` is its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = _nkey(_ACCOUNT_PREFIX, self._key.public_key().public_bytes_raw())

    @staticmethod
    def make_seed() -> bytes:
        """A new secret."""
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a JWT of NATS."""
        claims = claims | {"iat": int(time.time()), "iss": self.public}
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_base64(self._key.sign(signed.encode()))}"


class Admissions(Service):
    """Answers the server's questions; of several masters one does."""

    def __init__(self, bus: NatsBus, issuer: Issuer, judge: Judge) -> None:
        self._bus = bus
        self._issuer = issuer
        self._judge = judge
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._answers: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        if self._subscription is None:
            self._subscription = await self._bus.subscribe(_CALLOUT, self._take, queue="admissions")

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    async def _take(self, message: Msg) -> None:
        task = asyncio.create_task(self._answer(message, time.monotonic()))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, message: Msg, came_at: float) -> None:
        async with self._room:
            if time.monotonic() - came_at < _TOO_LATE_SECONDS:
                await self._admit(message)

    async def _admit(self, message: Msg) -> None:
        try:
            asked = _read(message.data)
            verdict = await self._decide(asked)
            await message.respond(self._issuer.sign(_response(asked, verdict)).encode())
        except Exception:  # silence is a refusal, behind a while
            log.exception("admission_failed")

    async def _decide(self, asked: _Request) -> dict[str, str]:
        applicant = Applicant(asked.connect_opts.user, asked.connect_opts.password, asked.client_info.host)
        try:
            identity = await self._judge(applicant)
        except ReelmillError as error:
            log.warning("worker_refused", host=applicant.host, user=applicant.user[:80], reason=str(error))
            return {"error": str(error)}
        return {"jwt": self._issuer.sign(_worker_pass(asked.user_nkey, identity))}


def _worker_pass(user_nkey: str, me: Identity) -> dict[str, Any]:
    echo = me.says(ECHO)
    return {
        "sub": user_nkey,
        "aud": ACCOUNT,
        "name": me.id,
        "exp": int(time.time() + _PASS_SECONDS * random.uniform(0.5, 1)),
        "nats": {
            "type": "user",
            "version": 2,
            # The server applies no such limits of a pass from a callout (2.15.1): its configuration has one for
            # subscriptions, and masters hear no large words of workers.
            "subs": -1,
            "data": -1,
            "payload": -1,
            "pub": {"allow": [echo, *(me.says(subject) for subject in WORKER_SAYS)]},
            "sub": {"allow": [echo, f"{me.inbox}.>", *(me.hears(subject) for subject in worker_hears(me.id))]},
            "resp": {"max": 1, "ttl": _REPLY_SECONDS * 1_000_000_000},
        },
    }


class _ServerId(msgspec.Struct):
    id: str


class _ClientInfo(msgspec.Struct):
    host: str = ""


class _ConnectOptions(msgspec.Struct):
    user: str = ""
    password: str = msgspec.field(name="pass", default="")


class _Request(msgspec.Struct):
    server_id: _ServerId
    user_nkey: str
    client_info: _ClientInfo
    connect_opts: _ConnectOptions


class _Claims(msgspec.Struct):
    nats: _Request


def _read(word: bytes) -> _Request:
    """What the server asks. Only servers can publish on that subject, so its signature is not looked at."""
    body = word.split(b".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=_Claims).nats


def _response(asked: _Request, verdict: dict[str, str]) -> dict[str, Any]:
    return {
        "sub": asked.user_nkey,
        "aud": asked.server_id.id,
        "nats": {"type": "authorization_response", "version": 2, **verdict},
    }


def _nkey(prefix: int, public: bytes) -> str:
    body = bytes([prefix]) + public
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def _base64(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")
