"""What every bus offers: ask, be answered, tell, listen; no answer is None, never an exception."""

from __future__ import annotations

import asyncio

import pytest

from reelmill.bus.protocol import Bus, Handler, Listener, Sender
from reelmill.bus.words import GONE, Notice, Question

PATIENCE = 5.0


async def echo(word: bytes, _sender: Sender) -> bytes:
    return b"you said " + word


async def test_a_request_is_answered(bus: Bus) -> None:
    """By the handler of its subject and no other."""
    await bus.answer("a", echo)
    await bus.answer("b", lambda _word, _sender: asyncio.sleep(0, b"wrong"))

    assert await bus.request("a", b"hello", PATIENCE) == b"you said hello"


async def test_nobody_there_is_none(bus: Bus) -> None:
    """At once or after the timeout, but not an error."""
    assert await bus.request("nobody", b"hello", 0.2) is None


async def test_a_late_answer_is_none(bus: Bus) -> None:
    """The caller goes on after its timeout; whether the request was acted upon is another question."""
    acted, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_word: bytes, _sender: Sender) -> bytes:
        await go_on.wait()
        acted.set()
        return b"late"

    await bus.answer("slow", slow)

    assert await bus.request("slow", b"", 0.02) is None
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        await acted.wait()


async def test_a_handler_that_fails_is_silence(bus: Bus) -> None:
    """No exception crosses the bus, and the next request is answered."""
    calls: list[bytes] = []

    async def moody(word: bytes, _sender: Sender) -> bytes:
        calls.append(word)
        if word == b"bad":
            raise RuntimeError("on purpose")
        return word

    await bus.answer("moody", moody)

    assert await bus.request("moody", b"bad", 0.2) is None
    assert await bus.request("moody", b"good", PATIENCE) == b"good"
    assert [b"bad", b"good"] == calls


async def test_of_several_who_answer_each_request_reaches_one(bus: Bus) -> None:
    """All of them take part, and nothing is done twice."""
    calls: list[str] = []

    def named(name: str) -> Handler:
        async def handle(word: bytes, _sender: Sender) -> bytes:
            calls.append(name)
            return word

        return handle

    for name in ("one", "two", "three"):
        await bus.answer("shared", named(name))
    for n in range(60):
        assert await bus.request("shared", b"%d" % n, PATIENCE) == b"%d" % n

    assert 60 == len(calls)
    assert {"one", "two", "three"} == set(calls)


async def test_a_word_reaches_everyone_who_listens(bus: Bus) -> None:
    """Each once; those on other subjects hear nothing."""
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def listener(name: str) -> Listener:
        async def hear(word: bytes, _sender: Sender) -> None:
            await heard.put((name, word))

        return hear

    for name in ("one", "two"):
        await bus.listen("news", listener(name))
    await bus.listen("other", listener("other"))
    await bus.publish("nobody", b"?")
    await bus.publish("news", b"!")
    async with asyncio.timeout(PATIENCE):
        got = {await heard.get(), await heard.get()}

    assert {("one", b"!"), ("two", b"!")} == got
    assert heard.empty()


async def test_a_listener_that_fails_does_not_silence_the_others(bus: Bus) -> None:
    """Nor the one who speaks."""
    heard = asyncio.Event()

    async def fail(_word: bytes, _sender: Sender) -> None:
        raise RuntimeError("on purpose")

    async def hear(_word: bytes, _sender: Sender) -> None:
        heard.set()

    await bus.listen("news", fail)
    await bus.listen("news", hear)
    await bus.publish("news", b"!")
    async with asyncio.timeout(PATIENCE):
        await heard.wait()


async def test_a_closed_subscription_hears_nothing_more(bus: Bus) -> None:
    """And may be closed again."""
    heard: list[bytes] = []

    async def hear(word: bytes, _sender: Sender) -> None:
        heard.append(word)

    handler = await bus.answer("ask", echo)
    listener = await bus.listen("news", hear)
    for subscription in (handler, listener, handler, listener):
        await subscription.close()
    await bus.publish("news", b"!")

    assert await bus.request("ask", b"", 0.2) is None
    assert [] == heard


async def test_a_caller_that_is_canceled_does_not_cancel_the_work(bus: Bus) -> None:
    """As on another machine."""
    began, go_on, acted = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(word: bytes, _sender: Sender) -> bytes:
        began.set()
        await go_on.wait()
        acted.set()
        return word

    await bus.answer("slow", slow)
    asking = asyncio.ensure_future(bus.request("slow", b"", PATIENCE))
    async with asyncio.timeout(PATIENCE):
        await began.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        go_on.set()
        await acted.wait()


async def test_typed_words_go_round(bus: Bus) -> None:
    """What is asked and told arrives as what it was."""
    double = Question("double", int, list[int])
    news = Notice("news", dict[str, int])
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    async def answer(number: int) -> list[int]:
        return [number, number]

    await double.answer(bus, answer)
    await news.listen(bus, heard.put)
    await news.tell(bus, {"a": 1})

    assert [21, 21] == await double.ask(bus, 21, PATIENCE)
    async with asyncio.timeout(PATIENCE):
        assert {"a": 1} == await heard.get()


@pytest.mark.parametrize("rubbish", [b"", b"\xff\xff", b"\xa2a", b"{}" * 1000])
async def test_rubbish_on_a_typed_subject_is_silence(bus: Bus, rubbish: bytes) -> None:
    """A word that cannot be read is dropped; the next one is heard."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    length = Question("length", str, int)

    async def count(word: str) -> int:
        return len(word)

    await length.answer(bus, count)
    await GONE.listen(bus, heard.put)
    assert await bus.request("length", rubbish, 0.2) is None
    await bus.publish(GONE.subject, rubbish)
    await GONE.tell(bus, "mill-1")

    assert 3 == await length.ask(bus, "abc", PATIENCE)
    async with asyncio.timeout(PATIENCE):
        assert "mill-1" == await heard.get()


async def test_stopping_ends_what_is_under_way_and_may_be_repeated(bus: Bus) -> None:
    """Nothing of the bus is left running."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(_word: bytes, _sender: Sender) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await bus.listen("news", endless)
    await bus.publish("news", b"!")
    async with asyncio.timeout(PATIENCE):
        await began.wait()
        await bus.stop()
        await bus.stop()
    assert ended.is_set()
