"""Who may connect to the bus, and what a worker may say and hear there: judged by a real server."""

from __future__ import annotations

import asyncio

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from reelmill.bus.nats import MASTER_ROLE, Access, Identity, NatsBus
from reelmill.bus.words import (
    BEAT,
    CLAIM,
    GARBAGE,
    GONE,
    GOODBYE,
    LINKS,
    LIVE,
    MASTER_LEFT,
    REPORT,
    ROOM,
    TOKENS,
    WORKER_SAYS,
    order_notice,
    ping_question,
)
from reelmill.errors import StartupError
from tests.integration.bus.conftest import PASSWORD, TOKEN, Guarded
from tests.waiting import wait_until

A, B = "node-a", "node-b"


async def connect(guarded: Guarded, node_id: str, complaints: list[str]) -> Client:
    """A worker's connection without the manners of ours: it may try whatever it likes."""

    async def note(error: Exception) -> None:
        complaints.append(str(error).lower())

    return await nats.connect(  # pyright: ignore[reportUnknownMemberType]
        guarded.server.url, user=node_id, password=TOKEN, error_cb=note, allow_reconnect=False,
        inbox_prefix=f"_INBOX.{node_id}".encode(),
    )  # fmt: skip


async def test_a_worker_is_answered_and_known_by_its_id(guarded: Guarded) -> None:
    """The master hears who asks; the worker hears its own orders."""
    heard: list[tuple[bytes, str | None]] = []
    told = asyncio.Event()

    async def answer(word: bytes, sender: str | None) -> bytes:
        heard.append((word, sender))
        return b"yes"

    async def hear(_word: bytes, _sender: str | None) -> None:
        told.set()

    await guarded.master.answer(CLAIM.subject, answer)
    worker = guarded.worker(A)
    await worker.start()
    await worker.listen(order_notice(A).subject, hear)
    assert b"yes" == await worker.request(CLAIM.subject, b"jobs?", 5)
    assert [(b"jobs?", A)] == heard
    await guarded.master.publish(order_notice(A).subject, b"stop")
    async with asyncio.timeout(5):
        await told.wait()
    await worker.stop()


@pytest.mark.parametrize("password", ["", "hunter2", PASSWORD + "x"])
async def test_nobody_gets_in_without_a_token(guarded: Guarded, password: str) -> None:
    """One sentence says that the credentials are at fault, and shows none."""
    with pytest.raises(StartupError) as caught:
        await guarded.worker(A, password=password).start()
    assert "refuses the credentials" in str(caught.value)
    assert not password or password not in str(caught.value)


async def test_nobody_gets_in_while_no_master_is_there(guarded: Guarded) -> None:
    """The server asks in vain, and says no."""
    await guarded.master.stop()
    with pytest.raises(StartupError):
        await guarded.worker(A).start()


async def test_a_worker_cannot_be_another_nor_a_master(guarded: Guarded) -> None:
    """Not by what it calls itself: the server takes its words under the name only with which it was let in."""
    for role, claimed in (("token1", B), ("token2", A), (MASTER_ROLE, A)):
        bus = NatsBus(Access([guarded.server.url], A, TOKEN), Identity(role, claimed))
        with pytest.raises(StartupError):
            await bus.start()


def _said_by(node_id: str, subject: str) -> str:
    return Identity("token1", node_id).says(subject)


FORBIDDEN = [
    *(_said_by(B, subject) for subject in (CLAIM.subject, BEAT.subject, REPORT.subject, GOODBYE.subject)),
    *(_said_by(A, word.subject) for word in (GONE, MASTER_LEFT, TOKENS)),
    _said_by(A, order_notice(B).subject),
    Identity(MASTER_ROLE, "m1").says(order_notice(B).subject),
    Identity(MASTER_ROLE, "m1").says(TOKENS.subject),
    "_INBOX.m1.x",
    f"_INBOX.{B}.x",
    "$SYS.REQ.USER.AUTH",
    "$SYS.ACCOUNT.REELMILL.DISCONNECT",
    "$JS.API.INFO",
    "anything",
]


@pytest.mark.parametrize("subject", FORBIDDEN)
async def test_a_worker_cannot_say_what_is_not_its_to_say(guarded: Guarded, subject: str) -> None:
    """Not in the name of another, not as a master, not into an inbox; and it hears of it."""
    complaints: list[str] = []
    client = await connect(guarded, A, complaints)
    await client.publish(subject, b"forged")
    await client.flush()
    await wait_until(lambda: asyncio.sleep(0, complaints), lambda said: any("permissions" in one for one in said))
    await client.close()


@pytest.mark.parametrize(
    "subject",
    [
        Identity("token1", B).hears(order_notice(B).subject),
        Identity(MASTER_ROLE, "m1").hears(CLAIM.subject),
        f"_INBOX.{B}.>",
        "_INBOX.>",
        "reelmill.>",
        "$SYS.>",
        ">",
    ],
)
async def test_a_worker_cannot_hear_what_is_for_others(guarded: Guarded, subject: str) -> None:
    """Neither orders and answers for other nodes, nor what these say to masters."""
    complaints: list[str] = []
    client = await connect(guarded, A, complaints)

    async def ignore(_message: Msg) -> None: ...

    await client.subscribe(subject, cb=ignore)  # pyright: ignore[reportUnknownMemberType]
    await client.flush()
    await wait_until(lambda: asyncio.sleep(0, complaints), lambda said: any("permissions" in one for one in said))
    await client.close()


async def test_a_worker_may_say_all_that_workers_say(guarded: Guarded) -> None:
    """The list is complete: each of these words reaches a master."""
    heard: list[str] = []

    async def note(subject: str) -> None:
        async def hear(_word: bytes, _sender: str | None) -> None:
            heard.append(subject)

        await guarded.master.listen(subject, hear)

    for subject in WORKER_SAYS:
        await note(subject)
    assert {word.subject for word in (CLAIM, ROOM, BEAT, REPORT, GARBAGE, LINKS, GOODBYE, LIVE)} <= set(WORKER_SAYS)
    worker = guarded.worker(A)
    await worker.start()
    for subject in WORKER_SAYS:
        await worker.publish(subject, b"")
    await wait_until(lambda: asyncio.sleep(0, heard), lambda seen: set(WORKER_SAYS) == set(seen))
    await worker.answer(ping_question(A).subject, lambda word, _sender: asyncio.sleep(0, word))
    assert b"there?" == await guarded.master.request(ping_question(A).subject, b"there?", 5)
    await worker.stop()


async def test_words_of_a_role_that_is_not_trusted_any_more_do_not_count(guarded: Guarded) -> None:
    """A token that was revoked: the connection may still be open, and nobody listens."""
    trusted = {"token1"}
    master = NatsBus(
        Access([guarded.server.url], "master", PASSWORD), Identity(MASTER_ROLE, "m2"), trusts=trusted.__contains__
    )
    await master.start()
    await master.answer("claim", lambda _word, _sender: asyncio.sleep(0, b"yes"))
    worker = guarded.worker(A)
    await worker.start()
    assert b"yes" == await worker.request("claim", b"", 5)
    trusted.clear()
    assert await worker.request("claim", b"", 0.3) is None
    await worker.stop()
    await master.stop()
