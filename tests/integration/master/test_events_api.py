"""GET /events: every step of every job once and in order, what workers say as it comes, and nobody is waited for."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from reelmill.bus.words import BEAT, CLAIM, LIVE, REPORT, Beat, Claim, Live, LogLines
from reelmill.domain.attempt import AttemptKey, AttemptReport, Progress
from reelmill.domain.lifecycle import Return
from reelmill.domain.stream import StreamProgress
from reelmill.launcher.event_stream import Event
from reelmill.master import news, subscriber
from reelmill.store.retention import prune_ended
from tests.ear import PATIENCE, listening
from tests.samples import node_info, offer, published, settled, started
from tests.served import Served
from tests.waiting import wait_until

NODE = node_info()


async def run(served: Served, node: Any = NODE) -> AttemptKey:
    """The attempt that the node has begun."""
    await BEAT.ask(served.bus, Beat(node, []), PATIENCE)
    [grant] = await CLAIM.ask(served.bus, Claim(offer(node, 1), PATIENCE), PATIENCE) or []
    assert [True] == await REPORT.ask(served.bus, [started(grant.key, node)], PATIENCE)
    return grant.key


async def complete(served: Served) -> AttemptKey:
    key = await run(served)
    assert [True, True] == await REPORT.ask(served.bus, [settled(key, NODE), published(key, NODE)], PATIENCE)
    return key


STEPS = ["assigned", "running", "running", "completed"]  # it runs, and then its output is judged


async def test_each_step_of_a_job_is_heard_once_and_in_order(served: Served) -> None:
    """By two who listen, each with what it asked for."""
    first, second = await served.submit(), await served.submit(tenant="b")
    async with (
        listening(served.master.url) as everything,
        listening(served.master.url, tenant="b", status="completed,failed") as some,
    ):
        await complete(served)
        await complete(served)
        numbers = [first["sequence_number"], second["sequence_number"]]
        expected = [(number, status) for number in numbers for status in STEPS]
        heard = [await everything.next() for _ in expected]
        assert expected == [(one.data["sequence_number"], one.data["to_status"]) for one in heard]
        ids = [one.id for one in heard if one.id is not None]
        assert sorted(set(ids)) == ids
        assert len(expected) == len(ids)
        assert [(numbers[1], "completed")] == await some.steps(1)


async def test_who_comes_again_misses_nothing_and_hears_nothing_twice(served: Served) -> None:
    """Whatever was read: each id is a place to go on from, also one at which nothing was wanted."""
    for _ in range(4):
        await served.submit()
    heard: list[Event] = []
    async with listening(served.master.url) as ear:
        begun = ear.last
        await complete(served)
        heard += [await ear.next() for _ in range(2)]
    await complete(served)
    async with listening(served.master.url, ear.last) as again:
        await complete(served)
        heard += [await again.next() for _ in range(10)]
    async with listening(served.master.url, again.last) as at_last:
        await complete(served)
        heard += [await at_last.next() for _ in range(4)]
    history = [event.data for event in heard]
    assert STEPS * 4 == [data["to_status"] for data in history]
    assert [number for number in (1, 2, 3, 4) for _ in STEPS] == [data["sequence_number"] for data in history]
    assert begun is not None
    async with listening(served.master.url, since=begun, job="3") as late:
        assert [(3, status) for status in STEPS] == await late.steps(4)


async def test_a_long_replay_is_whole(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in slices, while more happens."""
    monkeypatch.setattr(news, "_AT_ONCE", 2)
    for _ in range(5):
        await served.submit()
    for _ in range(4):
        await complete(served)
    async with listening(served.master.url, 0) as ear:
        await complete(served)
        ends = [number for number, status in await ear.steps(20) if status == "completed"]
    assert [1, 2, 3, 4, 5] == ends


async def test_a_number_is_never_given_again_when_all_is_forgotten(served: Served) -> None:
    """Who listens goes on hearing behind a farm that was emptied, and whoever comes again too."""
    for _ in range(3):
        await served.submit()
    async with listening(served.master.url) as ear:
        await complete(served)
        assert 4 == len(await ear.steps(4))
        assert 1 == await served.store.write(lambda tx: prune_ended(tx, 1e12, 100))
        assert 0 == await served.store.read(lambda tx: tx.execute(text("SELECT count(*) FROM history")).scalar_one())
        await complete(served)
        assert [(2, status) for status in STEPS] == await ear.steps(4)
    await served.store.write(lambda tx: prune_ended(tx, 1e12, 100))
    async with listening(served.master.url, ear.last) as again:
        await complete(served)
        assert [(3, status) for status in STEPS] == await again.steps(4)


async def test_progress_and_lines_are_heard_of_the_attempt_that_counts_only(served: Served) -> None:
    """Not of another attempt, node or job; nothing of it is stored."""
    job = await served.submit()
    async with listening(served.master.url, kind="progress,log", job=job["id"]) as ear:
        await wait_until(lambda: asyncio.sleep(0, served.master.news.hears_workers), bool)
        key = await run(served)
        wrong = AttemptKey(key.job_id, key.attempt + 1)
        for node, said in (("other-id", key), (NODE.id, wrong), (NODE.id, AttemptKey("no-such-job", 1))):
            live = Live(node, [Progress(said, 99.0, 1.0, 1.0)], [LogLines(said, ["wrong"], 0)])
            await LIVE.tell(served.bus, live)
        live = Live(
            NODE.id,
            [Progress(key, 50.0, 25.0, 1.5, stream=StreamProgress("sending", 0.5))],
            [LogLines(key, ["one", "two"], 3)],
        )
        await LIVE.tell(served.bus, live)
        seen, said = await ear.next(), await ear.next()
    assert ("progress", None, 50.0, NODE.name) == (seen.kind, seen.id, seen.data["progress"], seen.data["node_name"])
    assert ("sending", 0.5) == (seen.data["stream"]["state"], seen.data["stream"]["lag"])
    assert ("log", ["one", "two"], 3) == (said.kind, said.data["lines"], said.data["left_out"])
    assert 0.0 == (await served.get(f"/jobs/{job['id']}"))["progress"]


async def test_nobody_tells_lines_of_an_attempt_that_was_given_back(served: Served) -> None:
    """Nobody holds its job then. Of one that ended the last lines are heard, from the node that held it."""
    given_back, ended = await served.submit(), await served.submit()
    async with listening(served.master.url, kind="log") as ear:
        await wait_until(lambda: asyncio.sleep(0, served.master.news.hears_workers), bool)
        first, second = await run(served), await run(served)
        reports = [AttemptReport(first, NODE.id, Return("stopped")), settled(second, NODE), published(second, NODE)]
        assert [True] * 3 == await REPORT.ask(served.bus, reports, PATIENCE)
        for node, key in (("other-id", first), ("other-id", second), (NODE.id, second)):
            await LIVE.tell(served.bus, Live(node, [], [LogLines(key, [f"{node} on {key.job_id}"], 0)]))
        assert [f"{NODE.id} on {ended['id']}"] == (await ear.next()).data["lines"]
    assert given_back["id"] == first.job_id


async def test_who_leaves_leaves_nothing_behind(served: Served) -> None:
    """Neither a listener at the master nor its ear at the bus."""
    async with listening(served.master.url), listening(served.master.url, kind="log"):
        assert 2 == served.master.news.listeners
        await wait_until(lambda: asyncio.sleep(0, served.master.news.hears_workers), bool)
    await wait_until(lambda: asyncio.sleep(0, served.master.news.listeners), lambda n: n == 0)
    await wait_until(lambda: asyncio.sleep(0, served.master.news.hears_workers), lambda heard: not heard)


async def test_who_reads_too_slowly_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded, and the others hear all the while."""
    monkeypatch.setattr(subscriber, "MOST_WAITING", 200_000)
    monkeypatch.setattr(news, "ROUND_SECONDS", 0.01)
    place = urlsplit(served.master.url)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", place.port))
        slow.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until(lambda: asyncio.sleep(0, served.master.news.listeners), lambda n: n == 1)
        await served.submit()
        key = await run(served)
        words = Live(NODE.id, [], [LogLines(key, ["x" * 500] * 50, 0)] * 5)
        async with listening(served.master.url, kind="log") as other, asyncio.timeout(60):
            while not served.master.news.dropped:
                await LIVE.tell(served.bus, words)
                for _ in range(5):
                    assert 50 == len((await other.next()).data["lines"])
            assert 1 == served.master.news.dropped


async def test_a_master_that_stops_ends_its_streams(served: Served) -> None:
    """And does not wait for who listens."""
    async with listening(served.master.url) as ear:
        async with asyncio.timeout(PATIENCE):
            await served.master.stop()
        with pytest.raises(EOFError):
            await ear.next()


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("status=done", "unknown status 'done'"),
        ("kind=transitions", "did you mean 'transition'?"),
        ("jobs=3", "did you mean 'job'?"),
        ("since=x", "since"),
        ("job=%00", "NUL"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(served: Served, query: str, what: str) -> None:
    """With what is wrong, and what is meant."""
    answer = await served.client.get(f"/events?{query}")
    assert 422 == answer.status_code
    assert what in answer.json()["detail"], answer.text


async def test_there_are_only_so_many_streams(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, and told so."""
    monkeypatch.setattr(news, "MOST_SUBSCRIBERS", 1)
    async with listening(served.master.url):
        answer = await served.client.get("/events")
        assert (503, True) == (answer.status_code, "1 streams are open" in answer.json()["detail"])
    await wait_until(lambda: asyncio.sleep(0, served.master.news.listeners), lambda n: n == 0)
    async with listening(served.master.url):
        pass
