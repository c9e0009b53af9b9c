"""Reports reach a master in order, whatever a bus refuses to carry."""

from __future__ import annotations

import asyncio

from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import REPORT
from reelmill.domain.attempt import AttemptKey, AttemptReport
from reelmill.domain.lifecycle import Start
from reelmill.errors import WordTooLarge
from reelmill.worker.reporter import Reporter


class NarrowBus(MemoryBus):
    """Takes words of so many bytes and no more, as NATS does."""

    most = 1000

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        if len(word) > self.most:
            raise WordTooLarge(subject, len(word), self.most)
        return await super().request(subject, word, timeout_seconds)


async def send_all(bus: MemoryBus, names: list[str]) -> tuple[list[str], list[bool]]:
    """What a master heard, and what the worker was told."""
    heard: list[str] = []

    async def take(reports: list[AttemptReport]) -> list[bool]:
        heard.extend(report.key.job_id for report in reports)
        return [True] * len(reports)

    await REPORT.answer(bus, take)
    reporter = Reporter(bus)
    await reporter.start()
    verdicts = [reporter.send(AttemptReport(AttemptKey(name, 1), "node", Start())) for name in names]
    async with asyncio.timeout(30):
        told = [await verdict for verdict in verdicts]
    await reporter.stop()
    return heard, told


async def test_more_than_one_word_can_carry_goes_in_several() -> None:
    """None is lost or doubled, and their order stays."""
    names = [f"job-{number}" for number in range(500)]
    assert (names, [True] * 500) == await send_all(NarrowBus(), names)


async def test_one_that_no_word_can_carry_does_not_hold_up_the_others() -> None:
    """It does not count; all others do."""
    names = ["a", "b", "x" * 2000, "c"]
    assert (["a", "b", "c"], [True, True, False, True]) == await send_all(NarrowBus(), names)
