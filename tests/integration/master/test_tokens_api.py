"""/tokens over HTTP, and the doorman who reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.bus.protocol import Departed, Subscription
from reelmill.clock import SystemClock
from reelmill.domain.credential import make_node_key, read_join
from reelmill.errors import Forbidden
from reelmill.master.api.app import create_app
from reelmill.master.farm import Gate
from reelmill.master.master import Master
from reelmill.master.news import News
from reelmill.store.sqlite import SqliteStore
from tests.served import MakeSettings, Served
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)


dismissed: list[str] = []


class Nobody:
    """Departures of a bus whose connections never end."""

    async def watch(self, on_departure: Callable[[Departed], Awaitable[None]]) -> Subscription:
        return self

    async def close(self) -> None: ...


@pytest.fixture
async def gated(make_settings: MakeSettings, store: SqliteStore) -> AsyncIterator[Served]:
    """A master that workers on other machines may join."""
    bus = MemoryBus()
    gate = Gate(("farm.example:4222",), bytes(32), True, Nobody(), dismissed.append)
    master = Master(make_settings(), store, bus, SystemClock(), alone=False, gate=gate)
    await master.start()
    async with httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
        yield Served(master, store, bus, client)
    await master.stop()
    await bus.stop()


async def test_a_token_is_made_shown_once_and_revoked(gated: Served) -> None:
    """What is printed lets a worker in, until it is revoked; the list never shows the secret."""
    answer = await gated.client.post("/tokens", json={"name": "studio"})
    assert 201 == answer.status_code
    join = read_join("join", answer.json()["join"])
    assert (("farm.example:4222",), bytes(32)) == (join.hosts, join.pin)
    key, doorman = make_node_key(), gated.master.doorman
    assert join.token.id == await doorman.admit(key.node_id, f"{join.token.text}:{key.secret}")
    assert doorman.trusts(join.token.id)
    assert not doorman.trusts("00000000")

    listed = await gated.client.get("/tokens")
    assert [("studio", None)] == [(token["name"], token["revoked_at"]) for token in listed.json()["tokens"]]
    assert join.token.secret not in listed.text

    answer = await gated.client.delete("/tokens/studio")
    assert (200, "studio") == (answer.status_code, answer.json()["name"])
    assert answer.json()["revoked_at"] is not None
    with pytest.raises(Forbidden, match="unknown or revoked"):
        await doorman.admit(key.node_id, f"{join.token.text}:{key.secret}")

    async def look() -> bool:
        return doorman.trusts(join.token.id)

    await wait_until(look, lambda trusted: not trusted)
    assert join.token.id in dismissed


async def test_tokens_are_not_made_from_another_machine(gated: Served) -> None:
    """There are no users yet: whoever reaches the API would get everybody's jobs. What is there may be listed."""
    app: Any = create_app(gated.master.farm, News(gated.master.farm))  # two libraries' words for the same interface
    transport = httpx2.ASGITransport(app, client=("192.0.2.7", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as stranger:
        for method, path in (("POST", "/tokens"), ("DELETE", "/tokens/up")):
            answer = await stranger.request(method, path, json={"name": "x"})
            assert (403, "forbidden") == (answer.status_code, answer.json()["code"]), answer.text
        assert 200 == (await stranger.get("/tokens")).status_code


async def test_a_key_is_that_of_its_node(gated: Served) -> None:
    """A token alone does not let its owner be another node."""
    join = read_join("join", (await gated.client.post("/tokens", json={"name": "studio"})).json()["join"])
    own, other = make_node_key(), make_node_key()
    for user, password in (
        (own.node_id, f"{join.token.text}:{other.secret}"),
        (own.node_id, join.token.text),
        ("master", f"{join.token.text}:{own.secret}"),
    ):
        with pytest.raises(Forbidden, match="the key is not that of the node"):
            await gated.master.doorman.admit(user, password)


async def test_what_cannot_be_is_refused(gated: Served) -> None:
    """A name that is none, one that is taken, one that nobody has."""
    for body, field in (({"name": "a b"}, "name"), ({"name": ""}, "name"), ({}, "name"), ({"name": "a", "x": 1}, "x")):
        answer = await gated.client.post("/tokens", json=body)
        assert (422, field) == (answer.status_code, answer.json()["field"]), answer.text
    assert 201 == (await gated.client.post("/tokens", json={"name": "studio"})).status_code
    answer = await gated.client.post("/tokens", json={"name": "studio"})
    assert (409, "token_exists") == (answer.status_code, answer.json()["code"])
    for name, meant in (("nobody", ""), ("studo", "; did you mean 'studio'?")):
        answer = await gated.client.delete(f"/tokens/{name}")
        assert (404, f"there is no token {name!r} that counts{meant}") == (answer.status_code, answer.json()["detail"])


async def test_a_farm_in_one_process_has_no_gate(served: Served) -> None:
    """It says how to get one, and stores nothing."""
    answer = await served.client.post("/tokens", json={"name": "studio"})
    assert (409, "no_bus") == (answer.status_code, answer.json()["code"])
    assert "reelmill up --fleet" in answer.json()["detail"]
    assert {"tokens": [], "count": 0} == await served.get("/tokens")
