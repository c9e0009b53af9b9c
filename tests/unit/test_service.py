"""The one contract for everything that runs in the background."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from reelmill.errors import StoreUnavailable
from reelmill.service import PeriodicService, Service, stop_all

PATIENCE = 5.0


class Rounds(PeriodicService):
    """Tells of each round; the first ``failing`` rounds fail."""

    def __init__(self, interval: float, failing: int = 0) -> None:
        super().__init__(interval)
        self.told: asyncio.Queue[int] = asyncio.Queue()
        self.count = 0
        self._failing = failing

    async def run_once(self) -> int:
        self.count += 1
        await self.told.put(self.count)
        if self.count <= self._failing:
            raise RuntimeError("on purpose")
        return self.count


async def test_rounds_come_by_themselves() -> None:
    """Again and again, at the interval."""
    rounds = Rounds(0.01)
    await rounds.start()
    async with asyncio.timeout(PATIENCE):
        assert [1, 2, 3] == [await rounds.told.get() for _ in range(3)]
    await rounds.stop()


async def test_a_word_wakes_the_service_at_once() -> None:
    """However long the interval; and a word that comes during a round is not lost."""
    rounds = Rounds(3600)
    await rounds.start()
    async with asyncio.timeout(PATIENCE):
        for expected in (1, 2, 3):
            rounds.wake()
            assert expected == await rounds.told.get()
    await rounds.stop()


async def test_a_failing_round_does_not_end_the_service() -> None:
    """It is logged, and the next round comes."""
    rounds = Rounds(0.005, failing=3)
    with capture_logs() as said:
        await rounds.start()
        async with asyncio.timeout(PATIENCE):
            assert [1, 2, 3, 4, 5] == [await rounds.told.get() for _ in range(5)]
        await rounds.stop()
    assert ["round_failed"] * 3 == [entry["event"] for entry in said]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable("the disk is full"), "the disk is full"),
        (RuntimeError("secret"), "an unexpected RuntimeError, see the log of the master"),
    ],
)
async def test_three_failed_rounds_in_a_row_are_trouble_until_a_good_one(error: Exception, reason: str) -> None:
    """Two are a hiccup; and what nobody expected is not told to everybody."""
    outcomes = iter([error, error, None, error, error, error, error, None])
    told: asyncio.Queue[str | None] = asyncio.Queue()

    class Failing(PeriodicService):
        async def run_once(self) -> None:
            await told.put(self.trouble)  # what the rounds before this one made of it
            if (outcome := next(outcomes, None)) is not None:
                raise outcome

    service = Failing(0.001)
    with capture_logs():  # to write tracebacks takes longer than all the rest
        await service.start()
        async with asyncio.timeout(PATIENCE):
            seen = [await told.get() for _ in range(9)]
        await service.stop()

    three, four = (f"Failing failed {rounds} rounds in a row: {reason}" for rounds in (3, 4))
    assert [None, None, None, None, None, None, three, four, None] == seen


async def test_nothing_runs_after_stop() -> None:
    """Nor is a task left behind."""
    before = asyncio.all_tasks()
    rounds = Rounds(0.001)
    await rounds.start()
    async with asyncio.timeout(PATIENCE):
        await rounds.told.get()
    await rounds.stop()

    assert before == asyncio.all_tasks()


async def test_starting_and_stopping_may_be_repeated() -> None:
    """Two starts make one loop; a stop before any start, and a second stop, are nothing."""
    rounds = Rounds(3600)
    await rounds.stop()
    await rounds.start()
    tasks = len(asyncio.all_tasks())
    await rounds.start()
    assert tasks == len(asyncio.all_tasks())
    await rounds.stop()
    await rounds.stop()
    await rounds.start()
    rounds.wake()
    async with asyncio.timeout(PATIENCE):
        assert 1 == await rounds.told.get()
    await rounds.stop()


class Stopping(Service):
    """Notes that it was stopped, and fails if asked to."""

    def __init__(self, name: str, stopped: list[str], *, fails: bool = False) -> None:
        self._name = name
        self._stopped = stopped
        self._fails = fails

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        self._stopped.append(self._name)
        if self._fails:
            raise RuntimeError(self._name)


async def test_all_are_stopped_in_order_even_when_one_fails() -> None:
    """And the first failure is raised when all is done."""
    stopped: list[str] = []
    with pytest.raises(RuntimeError, match="b"):
        await stop_all(
            Stopping("a", stopped),
            Stopping("b", stopped, fails=True),
            Stopping("c", stopped, fails=True),
            Stopping("d", stopped),
        )

    assert ["a", "b", "c", "d"] == stopped
