"""What the settler tells the nodes besides what becomes of their attempts."""

from __future__ import annotations

import time

import msgspec
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import BEAT, Beat
from reelmill.master.settler import Settler
from reelmill.store.nodes import note_nodes
from tests.samples import node_info
from tests.served import Served


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize(("nodes", "pause"), [(10, 0.01), (4_000, 4.0), (11_000, 10.0)])
async def test_the_more_nodes_there_are_the_more_rarely_each_beats(served: Served, nodes: int, pause: float) -> None:
    """A thousand beats a second from all of them; but from each at least three in a lease."""
    many = [msgspec.structs.replace(node_info(f"mill-{n}"), started_at=time.time()) for n in range(nodes)]
    await served.store.write(lambda tx: note_nodes(tx, many, time.time()))
    bus = MemoryBus()
    settler = Settler(served.master.farm._replace(bus=bus))
    await settler.start()
    await settler.run_once()

    answer = await BEAT.ask(bus, Beat(many[0], []), 5)
    await settler.stop()

    assert answer is not None
    assert pause == answer.pause_seconds
