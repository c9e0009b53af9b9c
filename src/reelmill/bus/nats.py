"""The bus of a fleet: NATS, core request-reply and publish-subscribe. Nothing is kept there.

A word of ``sender`` on ``subject`` goes out as ``reelmill.<role>.<sender>.<subject>``. The server lets each connection
speak only under its own name, so the sender of a word that arrives is certain. A role is ``master``, or the id of the
token that a worker came with.

Connections are never mended: one that is lost, or silent, is closed and a new one made, with every subscription on it.
That is one way instead of the client's three, and the only one that gets out of half-open connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from reelmill.bus.complaints import Complaints
from reelmill.bus.identity import MASTER_ROLE, Access, Identity
from reelmill.bus.protocol import Bus, Handler, Listener, Subscription
from reelmill.errors import ReelmillError, StartupError, WordTooLarge

log = structlog.get_logger()

_QUEUE = "answering"
_FAILED = "Reelmill-Failed"
"""A header of an answer that is none: its handler failed, and who asked need not wait."""

_REFUSED = "refused"
"""The value of that header when the token of who asked counts no more, now and for good."""

WORKER_WORD_BYTES = 1 << 20
"""A worker says no more in one word, and nobody hears it else. Masters say as much as the server takes."""

_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 3.0
_ROUND_TRIP_SECONDS = 2.0
_MISSES = 2
"""A connection is looked at every three seconds; it is given up when two round trips in a row got no answer."""

_PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds between tries to connect again, spread by half."""

_TROUBLES = (nats.errors.Error, OSError, TimeoutError)
"""What the client raises when a connection or a server is not as it should be."""

ECHO = "echo"
"""The subject on which each connection speaks to itself."""

OnMessage = Callable[[Msg], Awaitable[None]]


async def _refuses_nobody(_role: str) -> bool:
    return False


class _Ear(NamedTuple):
    subject: str
    queue: str
    on_message: OnMessage


class NatsBus(Bus):
    """Words over NATS. Whatever was under way when a connection is lost is lost with it."""

    def __init__(
        self,
        access: Access,
        me: Identity,
        *,
        trusts: Callable[[str], bool] = lambda _role: True,
        refuses: Callable[[str], Awaitable[bool]] = _refuses_nobody,
    ) -> None:
        """``trusts`` says of a role whether words that come under it count; ``refuses``, if not, whether for good."""
        self.me = me
        self.refused = asyncio.Event()
        """A master says that our token does not count any more: nothing that we ask will be answered."""
        self._access = access
        self._trusts = trusts
        self._refuses = refuses
        self._ears: list[_Ear] = []
        self._opened: dict[_Ear, NatsSubscription] = {}
        self._client: Client | None = None
        self._server = ""
        self._complaints = Complaints()
        self._lost = asyncio.Event()
        self._echo = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tries = random.randrange(len(access.servers))

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and not self._lost.is_set()

    async def start(self) -> None:
        """Connect; StartupError when none of the servers lets us in."""
        if self._keeper is not None:
            return
        for left in reversed(range(len(self._access.servers))):
            try:
                await self._connect()
                break
            except StartupError as error:
                if left == 0:
                    raise StartupError(f"cannot reach the bus: {error}") from error
        self._keeper = asyncio.create_task(self._keep_connected(), name="bus")

    async def stop(self) -> None:
        keeper, self._keeper = self._keeper, None
        await _end({*self._tasks, *([keeper] if keeper else [])})
        await self._disconnect()

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        self._check_size(subject, word)
        client = self._client
        if client is None:
            return None
        asking = asyncio.ensure_future(client.request(self.me.says(subject), word, timeout=timeout_seconds))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            return self._read_answer(asking, subject) if asking.done() else None
        finally:
            for future in (asking, lost):
                future.cancel()
            await asyncio.gather(asking, lost, return_exceptions=True)

    async def publish(self, subject: str, word: bytes) -> None:
        try:
            self._check_size(subject, word)
        except WordTooLarge as error:
            self._complaints.tell("word_too_large", str(error))
            return
        if self._client is not None and self._complaints.may_say(self.me.says(subject)):
            await _send(self._client.publish(self.me.says(subject), word), subject)

    def _check_size(self, subject: str, word: bytes) -> None:
        if self.me.role != MASTER_ROLE and len(word) > WORKER_WORD_BYTES:
            raise WordTooLarge(subject, len(word), WORKER_WORD_BYTES)

    async def answer(self, subject: str, handler: Handler) -> Subscription:
        async def on_message(message: Msg) -> None:
            role, sender = _speaker(message)
            if not self._is_heard(message, role):
                return
            # An answer goes to whoever asked, and nowhere else: it is said with our rights.
            if message.reply.startswith(f"{Identity(role, sender).inbox}."):
                answering = (
                    self._answer(handler, message, sender) if self._counts(role) else self._refuse(message, role)
                )
                self._spawn(answering, role)

        return await self.subscribe(self.me.hears(subject), on_message, queue=_QUEUE)

    async def listen(self, subject: str, listener: Listener) -> Subscription:
        async def on_message(message: Msg) -> None:
            role, sender = _speaker(message)
            if self._is_heard(message, role) and self._counts(role):
                self._spawn(_hear(listener, message, sender), role)

        return await self.subscribe(self.me.hears(subject), on_message)

    async def subscribe(self, subject: str, on_message: OnMessage, *, queue: str = "") -> Subscription:
        """Hear what NATS itself has on ``subject``, on this connection and on all that follow it."""
        ear = _Ear(subject, queue, on_message)
        self._ears.append(ear)
        if self._client is not None:
            with contextlib.suppress(*_TROUBLES):  # the next connection has it
                await self._open(self._client, ear)
                await self._round_trip()
        return _Registration(self, ear)

    async def unsubscribe(self, ear: _Ear) -> None:
        """Hear no more of it; harmless when it was not heard of any more."""
        if ear in self._ears:
            self._ears.remove(ear)
        with contextlib.suppress(*_TROUBLES):
            if (opened := self._opened.pop(ear, None)) is not None:
                await opened.unsubscribe()

    def dismiss(self, role: str) -> None:
        """Answer none of the questions of that role that are still open."""
        for task in self._tasks:
            if task.get_name() == role:
                task.cancel()

    def _is_heard(self, message: Msg, role: str) -> bool:
        """A large word of a worker costs nobody more than its bytes: it is not read."""
        if role == MASTER_ROLE or len(message.data) <= WORKER_WORD_BYTES:
            return True
        self._complaints.tell("word_ignored", f"{len(message.data):,} bytes on {message.subject}")
        return False

    def _counts(self, role: str) -> bool:
        return role == MASTER_ROLE or self._trusts(role)

    async def _answer(self, handler: Handler, message: Msg, sender: str) -> None:
        try:
            answer, headers = await handler(message.data, sender), None
        except Exception as error:
            _complain(message.subject, error)
            answer, headers = b"", {_FAILED: "1"}
        await self._respond(message, answer, headers)

    async def _refuse(self, message: Msg, role: str) -> None:
        """Silence would have the worker ask on and on."""
        try:
            refused = await self._refuses(role)
        except Exception as error:
            _complain(message.subject, error)
            return
        if refused:
            await self._respond(message, b"", {_FAILED: _REFUSED})

    async def _respond(self, message: Msg, answer: bytes, headers: dict[str, str] | None) -> None:
        if self._client is not None:  # another one, perhaps, than that by which it was asked
            await _send(self._client.publish(message.reply, answer, headers=headers), message.subject)

    def _spawn(self, work: Coroutine[Any, Any, None], role: str) -> None:
        task = asyncio.create_task(work, name=role)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_connected(self) -> None:
        while True:
            await self._watch()
            log.warning("bus_lost", server=self._server, reason=self._complaints.latest)
            await self._disconnect()
            began, told = time.monotonic(), ""
            for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
                try:
                    await self._connect()
                    break
                except StartupError as error:
                    if str(error) != told:
                        log.warning("bus_not_reached", reason=str(error))
                        told = str(error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            log.info("bus_found", server=self._server, seconds=round(time.monotonic() - began, 2))

    async def _watch(self) -> None:
        """Return when the connection is lost, or gives no sign of life."""
        misses = 0
        while misses < _MISSES:
            try:
                async with asyncio.timeout(0 if misses else _LOOK_SECONDS):
                    await self._lost.wait()
                return
            except TimeoutError:
                misses = 0 if await self._round_trip() else misses + 1
        if not self._lost.is_set():
            self._complaints.latest = f"no sign of life for {_MISSES * _ROUND_TRIP_SECONDS:.0f} seconds"

    async def _round_trip(self) -> bool:
        """Whether a word of ours comes back to us. The client's own ``flush`` says yes when its reader is dead."""
        if self._client is None:
            return False
        self._echo.clear()
        signs = [asyncio.ensure_future(event.wait()) for event in (self._echo, self._lost)]
        try:
            await self._client.publish(self.me.says(ECHO), b"")
            await asyncio.wait(signs, timeout=_ROUND_TRIP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        except _TROUBLES:
            return False
        finally:
            for sign in signs:
                sign.cancel()
        return self._echo.is_set()

    async def _connect(self) -> None:
        """One try at the next server; StartupError with the reason when it is in vain."""
        self._tries += 1
        self._server = server = self._access.servers[self._tries % len(self._access.servers)]
        client, self._lost = Client(), asyncio.Event()
        self._complaints.begin()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await client.connect(
                    [server],
                    name=self.me.id,
                    user=self._access.user,
                    password=self._access.password,
                    tls=self._access.tls,
                    tls_handshake_first=self._access.tls is not None,
                    inbox_prefix=self.me.inbox.encode(),
                    allow_reconnect=False,
                    reconnect_time_wait=0,
                    max_reconnect_attempts=1,  # the client tries twice, with 0 for ever
                    error_cb=self._complaints.note,
                    closed_cb=self._note_loss(self._lost),
                )
                self._opened = {}
                await self._open(client, _Ear(self.me.says(ECHO), "", self._note_echo))
                while wanted := [ear for ear in self._ears if ear not in self._opened]:  # more may come meanwhile
                    await self._open(client, wanted[0])
        except (*_TROUBLES, ssl.SSLError) as error:
            await _close(client)
            reason = self._complaints.latest if isinstance(error, nats.errors.NoServersError) else str(error)
            raise StartupError(_explain(server, error, reason)) from error
        self._client = client
        if not await self._round_trip():
            await self._disconnect()
            raise StartupError(f"{server} does not answer")

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._lost.set()  # whoever waits for an answer need not any more
        self._opened = {}
        if client is not None:
            await _close(client)

    async def _open(self, client: Client, ear: _Ear) -> None:
        subscribe: Callable[..., Awaitable[NatsSubscription]] = client.subscribe  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        self._opened[ear] = await subscribe(ear.subject, queue=ear.queue, cb=ear.on_message)

    def _read_answer(self, asking: asyncio.Future[Msg], subject: str) -> bytes | None:
        error = asking.exception()
        if isinstance(error, nats.errors.MaxPayloadError):
            raise WordTooLarge(subject) from error  # asked again, it would be as large
        if isinstance(error, _TROUBLES):
            return None
        if error is not None:
            raise error
        message = asking.result()
        failed = (message.headers or {}).get(_FAILED)
        if failed == _REFUSED and self.me.role != MASTER_ROLE and not self.refused.is_set():
            log.error("token_revoked", advice="a master answers nothing that comes with it; join with another one")
            self.refused.set()
        return message.data if failed is None else None

    async def _note_echo(self, _message: Msg) -> None:
        self._echo.set()

    @staticmethod
    def _note_loss(lost: asyncio.Event) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            lost.set()

        return note


class _Registration:
    def __init__(self, bus: NatsBus, ear: _Ear) -> None:
        self._bus = bus
        self._ear = ear

    async def close(self) -> None:
        await self._bus.unsubscribe(self._ear)


def _speaker(message: Msg) -> tuple[str, str]:
    """The role and the id under which it was said; the server has seen to it that they are the speaker's."""
    _, role, sender, _ = message.subject.split(".", 3)
    return role, sender


async def _hear(listener: Listener, message: Msg, sender: str) -> None:
    try:
        await listener(message.data, sender)
    except Exception as error:
        _complain(message.subject, error)


def _complain(subject: str, error: Exception) -> None:
    if isinstance(error, ReelmillError):
        log.warning("handler_failed", subject=subject, reason=str(error))
    else:
        log.error("handler_failed", subject=subject, exc_info=error)


async def _send(publishing: Awaitable[None], subject: str) -> None:
    """A word that cannot be sent is lost; one that no server would take is worth a line."""
    try:
        await publishing
    except nats.errors.MaxPayloadError:
        log.error("word_too_large", subject=subject)
    except _TROUBLES:
        pass


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel them until they hear it: in Python 3.11 `asyncio.wait_for`, ending just then, loses a cancellation."""
    left = tasks
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_PAUSES[2])
    await asyncio.gather(*tasks, return_exceptions=True)


async def _close(client: Client) -> None:
    """Leave nothing of it, however much of it there is; a peer that is frozen must not hold us up."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_ROUND_TRIP_SECONDS):
            await client.close()


def _explain(server: str, error: BaseException, reason: str) -> str:
    words = reason.removeprefix("nats: ").strip("'") or type(error).__name__
    lower = words.lower()
    if "authorization" in lower or "authentication" in lower:
        return f"{server} refuses the credentials: they are wrong or revoked, or no master is up that knows them"
    if isinstance(error, TimeoutError):
        return f"{server} does not answer within {_CONNECT_SECONDS:.0f} seconds"
    if isinstance(error, ssl.SSLError):
        return f"{server} has another certificate than expected ({words})"
    return f"{server}: {words}"
