"""Who may connect to the bus, and what a worker may say and hear there: judged by a real server."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from reelmill.bus import admission
from reelmill.bus.admission import Admissions, Issuer
from reelmill.bus.identity import MASTER_ROLE, Access, Identity
from reelmill.bus.nats import WORKER_WORD_BYTES, NatsBus
from reelmill.bus.server_config import MASTER_USER, MAX_SUBSCRIPTIONS
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
    Beat,
    order_notice,
    ping_question,
)
from reelmill.domain.attempt import AttemptKey, BeatAnswer, Progress
from reelmill.errors import StartupError, WordTooLarge
from reelmill.service import running
from tests.integration.bus.conftest import PASSWORD, TOKEN, Guarded, judge
from tests.nats_server import NatsServer
from tests.samples import node_info
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


async def test_a_worker_cannot_flood_masters_with_large_words(guarded: Guarded) -> None:
    """Those are not read, neither as notices nor as questions, and one line in the log says whose they are."""
    heard: list[int] = []

    async def hear(word: bytes, _sender: str | None) -> None:
        heard.append(len(word))

    async def answer(word: bytes, _sender: str | None) -> bytes:
        heard.append(len(word))
        return b"yes"

    await guarded.master.listen(LIVE.subject, hear)
    await guarded.master.answer(REPORT.subject, answer)
    client = await connect(guarded, A, [])
    with capture_logs() as said:
        for _ in range(3):
            await client.publish(_said_by(A, LIVE.subject), b"x" * (WORKER_WORD_BYTES + 1))
            with pytest.raises(TimeoutError):
                await client.request(_said_by(A, REPORT.subject), b"x" * (WORKER_WORD_BYTES + 1), timeout=0.2)
        answered = await client.request(_said_by(A, REPORT.subject), b"x" * WORKER_WORD_BYTES, timeout=5)
    assert b"yes" == answered.data
    assert [WORKER_WORD_BYTES] == heard
    assert [("word_ignored", f"1,048,577 bytes on {_said_by(A, LIVE.subject)}")] == [
        (entry["event"], entry["reason"]) for entry in said
    ]
    await client.close()


async def test_a_worker_cannot_subscribe_without_end(guarded: Guarded) -> None:
    """More than it needs, and then no more."""
    client = await connect(guarded, A, [])

    async def ignore(_message: Msg) -> None: ...

    for number in range(MAX_SUBSCRIPTIONS + 1):
        await client.subscribe(f"_INBOX.{A}.{number}", cb=ignore)  # pyright: ignore[reportUnknownMemberType]
    log = await wait_until(lambda: asyncio.sleep(0, guarded.server.log), lambda log: "subscriptions exceeded" in log)
    assert A in log


async def test_a_word_that_is_too_large_costs_a_worker_that_word_only(guarded: Guarded) -> None:
    """A question raises, a notice is a line in the log; neither is sent, and the connection stays."""
    worker = guarded.worker(A)
    await worker.start()
    await guarded.master.answer(REPORT.subject, lambda _word, _sender: asyncio.sleep(0, b"yes"))
    with pytest.raises(WordTooLarge, match=r"'report'.* 1,048,577 bytes, and at most 1,048,576"):
        await worker.request(REPORT.subject, b"x" * (WORKER_WORD_BYTES + 1), 5)
    with capture_logs() as said:
        await worker.publish(LIVE.subject, b"x" * (WORKER_WORD_BYTES + 1))
    assert ["word_too_large"] == [entry["event"] for entry in said]
    assert b"yes" == await worker.request(REPORT.subject, b"x" * WORKER_WORD_BYTES, 5)
    await worker.stop()


def a_progress(number: int) -> Progress:
    return Progress(AttemptKey(str(uuid.UUID(int=number)), 2**31), 99.9, 1234.5, 123.456, 12345.6)


async def test_what_the_largest_node_says_fits_into_one_word(guarded: Guarded) -> None:
    """A node has at most 4,096 units, and so attempts; a worker asks about 10,000 folders at a time."""
    worker = guarded.worker(A)
    await worker.start()
    await GARBAGE.answer(guarded.master, lambda keys: asyncio.sleep(0, keys[:1]))
    await BEAT.answer(guarded.master, lambda beat: asyncio.sleep(0, BeatAnswer(len(beat.held), [], [], [], [])))
    held = [a_progress(number) for number in range(4096)]
    beat = Beat(msgspec.structs.replace(node_info(), id=A), held)
    answer = await BEAT.ask(worker, beat, 5)
    assert answer is not None
    assert 4096 == answer.lease_seconds
    keys = [a_progress(number).key for number in range(10_000)]
    assert keys[:1] == await GARBAGE.ask(worker, keys, 5)
    await worker.stop()


async def test_a_worker_is_told_once_that_it_may_not_say_something(server: NatsServer, issuer: Issuer) -> None:
    """As with a master of an older version, which does not know of a word: it is not said again, and the rest is."""
    known = tuple(subject for subject in WORKER_SAYS if subject != LIVE.subject)
    with pytest.MonkeyPatch.context() as older:
        older.setattr(admission, "WORKER_SAYS", known)
        master = NatsBus(Access([server.url], MASTER_USER, PASSWORD), Identity(MASTER_ROLE, "m1"))
        async with running(master, Admissions(master, issuer, judge)):
            await master.answer(CLAIM.subject, lambda _word, _sender: asyncio.sleep(0, b"yes"))
            worker = Guarded(server, master).worker(A)
            async with running(worker):
                with capture_logs() as said:
                    await worker.publish(LIVE.subject, b"news")
                    await wait_until(lambda: asyncio.sleep(0, said), bool)
                    for _ in range(5):
                        await worker.publish(LIVE.subject, b"news")
                        assert b"yes" == await worker.request(CLAIM.subject, b"", 5)
    assert ["bus_refused"] == [entry["event"] for entry in said]
    refused = _said_by(A, LIVE.subject)
    assert 1 == server.log.count(f'Publish Violation - Subject "{refused}"'), server.log


async def test_words_of_a_role_that_is_not_trusted_any_more_do_not_count(guarded: Guarded) -> None:
    """A token that was revoked: the connection may still be open, and nobody listens."""
    trusted, revoked = {"token1"}, set[str]()
    master = NatsBus(
        Access([guarded.server.url], "master", PASSWORD),
        Identity(MASTER_ROLE, "m2"),
        trusts=trusted.__contains__,
        refuses=lambda role: asyncio.sleep(0, role in revoked),
    )
    await master.start()
    await master.answer("claim", lambda _word, _sender: asyncio.sleep(0, b"yes"))
    worker = guarded.worker(A)
    await worker.start()
    assert b"yes" == await worker.request("claim", b"", 5)
    trusted.clear()
    assert await worker.request("claim", b"", 0.3) is None
    assert not worker.refused.is_set(), "this master may know less than others"
    revoked.add("token1")
    with capture_logs() as said:
        async with asyncio.timeout(5):
            for _ in range(3):
                assert await worker.request("claim", b"", 60) is None
    assert worker.refused.is_set()
    assert ["token_revoked"] == [entry["event"] for entry in said]
    await worker.stop()
    await master.stop()
