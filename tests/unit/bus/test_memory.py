"""What is special about the bus of one process; the rest is in the contract of every bus."""

from __future__ import annotations

import asyncio

from reelmill.bus.memory import MemoryBus
from reelmill.bus.protocol import Sender


async def test_nobody_there_is_none_at_once() -> None:
    """Within one process nobody can turn up while we wait."""
    bus = MemoryBus()
    async with asyncio.timeout(5):
        assert await bus.request("nobody", b"", 3600) is None


async def test_a_finished_word_leaves_no_task_behind() -> None:
    """However many words go round."""
    bus = MemoryBus()
    before = asyncio.all_tasks()

    async def answer(word: bytes, _sender: Sender) -> bytes:
        return word

    await bus.answer("a", answer)
    for _ in range(100):
        assert await bus.request("a", b"x", 5) == b"x"

    assert before == asyncio.all_tasks()
