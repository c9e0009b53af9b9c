"""What becomes of a bus when its server dies, freezes, or goes away for a while."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reelmill.bus import nats as nats_bus
from reelmill.bus.identity import MASTER_ROLE, Access, Identity
from reelmill.bus.nats import NatsBus
from reelmill.errors import StartupError
from tests.nats_server import NatsServer, free_port
from tests.waiting import wait_until


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[NatsServer]]:
    """Two servers of one cluster."""
    ports = [free_port(), free_port()]
    made = [
        NatsServer(
            tmp_path,
            f'server_name: "n{n}"\ncluster {{ name: c, listen: "127.0.0.1:{ports[n]}", '
            f'routes: ["nats://127.0.0.1:{ports[1 - n]}"] }}',
        )
        for n in range(2)
    ]
    for server in made:
        server.start()
    yield made
    for server in made:
        server.kill()


def bus_on(*servers: NatsServer) -> NatsBus:
    return NatsBus(Access([server.url for server in servers], "", ""), Identity(MASTER_ROLE, uuid.uuid4().hex))


async def echo(word: bytes, _sender: str | None) -> bytes:
    return word


async def ask_until_answered(bus: NatsBus, seconds: float = 30) -> None:
    await wait_until(lambda: bus.request("echo", b"x", 0.5), lambda answer: answer == b"x", seconds=seconds)


async def test_a_server_that_was_away_is_found_again_with_all_that_was_heard(servers: list[NatsServer]) -> None:
    """Also what was asked for while it was away; a question under way has no answer, and at once."""
    first, _ = servers
    asking, answering = bus_on(first), bus_on(first)
    await asking.start()
    await answering.start()
    stuck = asyncio.Event()

    async def never(_word: bytes, _sender: str | None) -> bytes:
        stuck.set()
        await asyncio.sleep(3600)
        return b""

    await answering.answer("echo", echo)
    await answering.answer("never", never)
    pending = asyncio.create_task(asking.request("never", b"", 3600))
    await stuck.wait()
    first.kill()
    assert await asyncio.wait_for(pending, 30) is None
    await wait_until(lambda: asyncio.sleep(0, asking.is_connected), lambda there: not there)
    assert await asking.request("echo", b"", 5) is None
    later: list[bytes] = []

    async def hear(word: bytes, _sender: str | None) -> None:
        later.append(word)

    await asking.listen("news", hear)
    first.start()
    await ask_until_answered(asking)
    await answering.publish("news", b"back")
    await wait_until(lambda: asyncio.sleep(0, later), lambda heard: heard == [b"back"])
    await asking.stop()
    await answering.stop()


async def test_a_server_that_dies_is_left_for_the_next(servers: list[NatsServer]) -> None:
    """Both sides end up on the other one."""
    first, second = servers
    buses = [bus_on(first, second) for _ in range(4)]
    for bus in buses:
        await bus.start()
    await buses[0].answer("echo", echo)
    for bus in buses[1:]:
        await ask_until_answered(bus)
    first.kill()
    for bus in buses[1:]:
        await ask_until_answered(bus)
    for bus in buses:
        await bus.stop()


async def test_a_server_that_is_frozen_is_left_for_the_next(
    servers: list[NatsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection stays open and says nothing: no error ever comes, only no sign of life."""
    monkeypatch.setattr(nats_bus, "_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(nats_bus, "_ROUND_TRIP_SECONDS", 0.5)
    monkeypatch.setattr(nats_bus, "_CONNECT_SECONDS", 1.0)
    first, second = servers
    buses = [bus_on(first, second) for _ in range(2)]
    for bus in buses:
        await bus.start()
    await buses[0].answer("echo", echo)
    await ask_until_answered(buses[1])
    first.signal(signal.SIGSTOP)
    await ask_until_answered(buses[1])
    for bus in buses:
        await bus.stop()
    first.signal(signal.SIGCONT)


async def test_a_bus_stops_whatever_it_does_while_its_server_is_gone(servers: list[NatsServer]) -> None:
    """In whichever moment of its tries to connect again: about every tenth once went on for ever."""
    buses = [bus_on(servers[0]) for _ in range(80)]
    await asyncio.gather(*(bus.start() for bus in buses))
    servers[0].kill()

    async def connected() -> int:
        return sum(bus.is_connected for bus in buses)

    await wait_until(connected, lambda count: count == 0)

    async def stop(place: int, bus: NatsBus) -> None:
        await asyncio.sleep(place / len(buses))  # all through their first tries
        await bus.stop()

    async with asyncio.timeout(20):
        await asyncio.gather(*(stop(place, bus) for place, bus in enumerate(buses)))


async def test_a_place_where_nobody_is_is_one_sentence() -> None:
    """With the address, and without an endless wait."""
    bus = NatsBus(Access([f"nats://127.0.0.1:{free_port()}"], "u", "p"), Identity("t", "n"))
    with pytest.raises(StartupError, match=r"cannot reach the bus: nats://127\.0\.0\.1:\d+: "):
        await bus.start()
    assert await bus.request("echo", b"", 1) is None
    await bus.stop()


async def test_it_starts_when_one_of_its_servers_is_there(servers: list[NatsServer]) -> None:
    """Whichever it tries first."""
    first, second = servers
    first.kill()
    for _ in range(4):
        bus = bus_on(first, second)
        await bus.start()
        assert bus.is_connected
        await bus.stop()
