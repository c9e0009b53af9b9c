"""Pause, resume and cancel of jobs that run, with real engines: they stand still, and nothing is lost or left."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.worker.process import EngineProcess
from tests.waiting import wait_until

from .conftest import FarmMaker, FarmUnderTest, engines, no_engine_within, sha256_of

LONG: dict[str, Any] = {"scenario": "1080p60-h264", "duration": 600}


async def act(farm: FarmUnderTest, job: dict[str, Any], action: str) -> dict[str, Any]:
    return (await farm.http.post(f"/jobs/{job['id']}/{action}")).raise_for_status().json()


async def engine_is(*states: str, seconds: float = 10) -> psutil.Process:
    """The farm's one engine, once it is in such a state."""

    async def look() -> list[tuple[psutil.Process, str]]:
        return [(engine, engine.status()) for engine in engines()]

    seen = await wait_until(look, lambda seen: [state for _, state in seen if state in states] != [], seconds=seconds)
    return seen[0][0]


async def start_and_pause(farm: FarmUnderTest, **parameters: Any) -> dict[str, Any]:
    """A job whose engine was let run for a moment and stands still now."""
    job = await farm.running(await farm.submit(**(parameters or LONG)))
    await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
    assert "paused" == (await act(farm, job, "pause"))["status"]
    await engine_is(psutil.STATUS_STOPPED)
    return job


def encoded_bytes(farm: FarmUnderTest) -> int:
    return sum(path.stat().st_size for path in (farm.media / ".reelmill").rglob("output*"))


async def test_a_paused_job_stands_still_and_a_resumed_one_completes_verified(farm: FarmUnderTest) -> None:
    """Its file grows no more, its lease is kept, its clock stands; resumed, the same engine brings it to its end."""
    job = await start_and_pause(farm, scenario="1080p60-h264", duration=4)
    [engine] = engines()
    size = encoded_bytes(farm)
    await some_beats(farm)
    seen = await farm.job(job)
    assert (size, psutil.STATUS_STOPPED) == (encoded_bytes(farm), engine.status())
    assert ("paused", "node-1", None, None) == (seen["status"], seen["node_name"], seen["speed"], seen["eta"])

    assert "running" == (await act(farm, job, "resume"))["status"]
    await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
    ended = await farm.ended(job)

    assert ("completed", 1) == (ended["status"], ended["attempt"])
    assert ended["result"]["sha256"] == sha256_of(farm.media / ended["result"]["output"])
    steps = (await farm.get(f"/jobs/{job['id']}/history"))["history"]
    assert ["running", "paused", "running", "running", "completed"] == [step["to_status"] for step in steps][2:]


async def some_beats(farm: FarmUnderTest) -> None:
    """Wait until the lease of what stands still was renewed a few times."""

    async def lease() -> float:
        query = "SELECT lease_until FROM jobs WHERE status = 'paused'"
        return await farm.store.read(lambda tx: tx.exec_driver_sql(query).scalar_one())

    now = await lease()
    await wait_until(lease, lambda seen: seen > now + 3 * farm.settings.beat_seconds)


async def test_a_pause_and_a_resume_reach_the_engine_within_a_second(farm: FarmUnderTest) -> None:
    """And so they do again and again."""
    job = await farm.running(await farm.submit(**LONG))
    await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
    for _ in range(3):
        await act(farm, job, "pause")
        await engine_is(psutil.STATUS_STOPPED, seconds=1)
        await act(farm, job, "resume")
        await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING, seconds=1)


async def test_a_paused_job_that_is_canceled_ends_within_a_second(farm: FarmUnderTest) -> None:
    """An engine that stands still is killed like any other, and leaves nothing."""
    job = await start_and_pause(farm)
    await act(farm, job, "cancel")
    await no_engine_within(1.0)
    while farm.worker.running_jobs:
        await asyncio.sleep(0.01)
    assert ((await farm.job(job))["status"], farm.outputs(), farm.attempt_folders()) == ("canceled", [], [])


async def test_a_stopped_worker_leaves_no_engine_that_stands_still(farm: FarmUnderTest) -> None:
    """Its job stays paused without a holder, and runs anew elsewhere once it is resumed."""
    job = await start_and_pause(farm, scenario="480p30-h264", duration=60)
    await farm.worker.stop()
    seen = await farm.job(job)
    assert ("paused", None, [], []) == (seen["status"], seen["node_id"], engines(), farm.attempt_folders())
    assert "queued" == (await act(farm, job, "resume"))["status"]


@pytest.mark.parametrize("draining_first", [False, True])
async def test_draining_gives_paused_jobs_back(farm: FarmUnderTest, draining_first: bool) -> None:
    """P7: a drain does not wait for what may never go on; also when the pause comes only after it began."""
    job = await farm.running(await farm.submit(**LONG))
    drain = asyncio.create_task(farm.worker.drain()) if draining_first else None
    await act(farm, job, "pause")
    if drain is None:
        await engine_is(psutil.STATUS_STOPPED)
    async with asyncio.timeout(10):
        await (drain or farm.worker.drain())
    seen = await farm.wait(job, lambda seen: seen["node_id"] is None)
    assert ("paused", 0, 0) == (seen["status"], seen["failures"], seen["crashes"])
    assert [] == engines()


async def test_a_paused_job_keeps_its_cpu_units(farm: FarmUnderTest) -> None:
    """Else it could not go on at once; whoever wants them back cancels it."""
    job = await start_and_pause(farm)
    other = await farm.submit(duration=0.1)
    await some_beats(farm)
    assert "queued" == (await farm.job(other))["status"]
    await act(farm, job, "cancel")
    assert "completed" == (await farm.ended(other))["status"]


class MuteBus(MemoryBus):
    """A bus that loses every word to a node: only answers to questions arrive."""

    async def publish(self, subject: str, word: bytes) -> None:
        if not subject.startswith("node."):
            await super().publish(subject, word)


async def test_a_lost_word_is_made_up_for_by_the_next_beat(make_farm: FarmMaker) -> None:
    """The bus carries words, never truth: pause and resume arrive all the same, a moment later."""
    farm = make_farm(bus=MuteBus())
    await farm.start_master()
    await farm.worker.start()
    job = await start_and_pause(farm)
    await act(farm, job, "resume")
    await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
    await act(farm, job, "pause")
    await engine_is(psutil.STATUS_STOPPED)
    await act(farm, job, "cancel")
    await no_engine_within(10)


class SlowBus(MemoryBus):
    """A bus that keeps the answers to beats for as long as ``open`` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.kept = asyncio.Event()

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        answer = await super().request(subject, word, timeout_seconds)
        if subject == "beat" and not self.open.is_set():
            self.kept.set()
            await self.open.wait()
        return answer


async def test_an_answer_older_than_a_pause_does_not_undo_it(
    make_farm: FarmMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer to a beat that was on its way when the pause came says nothing against it."""
    resumed: list[EngineProcess] = []

    def note(process: EngineProcess) -> None:
        resumed.append(process)

    monkeypatch.setattr(EngineProcess, "resume", note)
    bus = SlowBus()
    farm = make_farm(bus=bus)
    await farm.start_master()
    await farm.worker.start()
    job = await farm.running(await farm.submit(**LONG))
    await engine_is(psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
    bus.open.clear()
    await bus.kept.wait()
    await act(farm, job, "pause")
    await engine_is(psutil.STATUS_STOPPED)
    bus.open.set()
    await farm.worker.beat()
    assert [] == resumed
