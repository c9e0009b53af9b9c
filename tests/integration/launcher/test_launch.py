"""A launch against a real master: each job exactly once, and results that tell the truth."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelmill.errors import InvalidField, MasterUnreachable, NotFound
from reelmill.launcher.client import MasterClient
from reelmill.launcher.ledger import Ledger, LedgerHeader, ledger_path
from reelmill.launcher.options import LaunchOptions, read_plan
from reelmill.launcher.plan import plan_jobs
from reelmill.launcher.run import LaunchOutcome, run_launch
from reelmill.launcher.watch import watch_launch
from tests.bad_line import BadLine
from tests.integration.launcher.conftest import Farm, Memory, running_farm
from tests.waiting import wait_until


def options(tmp_path: Path, count: int, batch_size: int = 50, **more: Any) -> LaunchOptions:
    plan = read_plan(count=str(count), seed=1, **more.pop("plan", {}))
    return LaunchOptions(plan=plan, batch_size=batch_size, delay=0, output=tmp_path / "r.json", **more)


def entries(tmp_path: Path) -> list[dict[str, Any]]:
    return json.loads((tmp_path / "r.json").read_text())


async def launch(url: str, wanted: LaunchOptions, display: Memory, stop: asyncio.Event | None = None) -> LaunchOutcome:
    async with MasterClient(url, on_retry=lambda reason: display.say(reason, "warning")) as client:
        return await run_launch(wanted, client, display, stop or asyncio.Event())


async def assert_told(farm: Farm, found: list[dict[str, Any]]) -> None:
    """The results are exactly what the store holds, in the order of the plan."""
    jobs = await farm.jobs()
    assert list(range(len(jobs))) == [one["index"] for one in found]
    found = sorted(found, key=lambda one: one["sequence_number"])  # requests at the same time may overtake each other
    told = [(one["id"], one["sequence_number"], one["scenario"], one["queue"], one["priority"]) for one in found]
    assert [(job.id, job.sequence_number, job.scenario, job.queue, job.priority) for job in jobs] == told
    assert [job.parameters.duration for job in jobs] == [one["parameters"]["duration"] for one in found]


async def test_every_job_arrives_once_and_in_order(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """1,030 jobs asked for are 1,030 jobs in the store, and the results name each."""
    outcome = await launch(farm.url, options(tmp_path, 1030, 100), display)
    assert (outcome.exit_code, outcome.submission.accepted) == (0, 1030)
    assert len(await farm.jobs()) == 1030
    await assert_told(farm, entries(tmp_path))
    assert display.seen[-1] == ("submitting", 1030)
    assert any("no node is online" in line for line in display.warnings)


@pytest.mark.parametrize("seed", range(5))
async def test_a_bad_line_neither_loses_nor_doubles(farm: Farm, tmp_path: Path, display: Memory, seed: int) -> None:
    """With 30 % of the requests dropped, refused, or cut in the answer: exactly 300 jobs, 300 right entries."""
    async with BadLine(farm.url, 0.3, seed) as line:
        outcome = await launch(line.url, options(tmp_path, 300, 25), display)
    assert outcome.exit_code == 0
    assert line.broken
    assert len(await farm.jobs()) == 300
    await assert_told(farm, entries(tmp_path))
    assert any("trying" in text or "try again" in text or "closed" in text for text in display.warnings)


async def test_it_gives_up_in_time_and_says_what_it_knows(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """A master that dies for good ends the launch within its patience; what it accepted is in the results."""
    async with BadLine(farm.url, 0.0, 0) as line:
        slow = options(tmp_path, 500, 10, patience=0.5)
        wanted = msgspec.structs.replace(slow, delay=0.01)
        running = asyncio.create_task(launch(line.url, wanted, display))
        while not display.seen:
            await asyncio.sleep(0.01)
    begin = time.monotonic()
    outcome = await running
    assert time.monotonic() - begin < 10
    assert outcome.exit_code == 1
    assert "nothing answers" in str(outcome.failure)
    found = entries(tmp_path)
    assert [job.id for job in await farm.jobs()] == [one["id"] for one in found if "id" in one]
    assert 0 < len(found) < 500

    resumed = await launch(farm.url, msgspec.structs.replace(wanted, delay=0, resume=True), display)
    assert (0, len(found)) == (resumed.exit_code, resumed.submission.before)
    assert 500 == len(await farm.jobs())
    await assert_told(farm, entries(tmp_path))


async def test_a_stop_finishes_the_batch_in_flight(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """The first Ctrl-C: no further batch, valid results, exit 130."""
    stop = asyncio.Event()
    async with MasterClient(farm.url) as client:
        task = asyncio.create_task(run_launch(options(tmp_path, 100_000, 20), client, display, stop))
        while not display.seen:
            await asyncio.sleep(0.001)
        stop.set()
        outcome = await task
    assert outcome.exit_code == 130
    assert outcome.submission.unknown == 0
    assert 0 < outcome.submission.accepted < 100_000
    await assert_told(farm, entries(tmp_path))


async def test_a_cancel_keeps_what_was_sent(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """The second Ctrl-C: at once, and the launch can go on from its ledger."""
    wanted = options(tmp_path, 3_000, 500)
    async with MasterClient(farm.url) as client:
        task = asyncio.create_task(run_launch(wanted, client, display, asyncio.Event()))
        while not display.seen:
            await asyncio.sleep(0.001)
        task.cancel()
        outcome = await task
    assert outcome.exit_code == 130
    assert not (tmp_path / "r.json").exists()
    resumed = await launch(farm.url, msgspec.structs.replace(wanted, resume=True), display)
    assert (0, 3_000) == (resumed.exit_code, len(await farm.jobs()))
    await assert_told(farm, entries(tmp_path))


async def test_a_launch_goes_on_at_its_own_farm_only(tmp_path: Path, display: Memory) -> None:
    """Even when nothing of it was accepted: another farm at the same address is refused, its own at another is not."""
    wanted = options(tmp_path, 30, resume=True)
    async with running_farm(tmp_path) as own, MasterClient(own.url) as client:
        health = await client.health()
        header = LedgerHeader(
            launch_id=wanted.launch_id,
            name=None,
            plan=wanted.plan,
            master=own.url,
            farm_id=health.farm_id,
            command=["reelmill", "launch"],
        )
        Ledger.create(ledger_path(tmp_path / "r.json"), header).close()
        async with BadLine(own.url, 0.0, 0) as line:
            assert 0 == (await launch(line.url, wanted, display)).exit_code
        assert 30 == len(await own.jobs())
    async with running_farm(tmp_path, port=int(own.url.rpartition(":")[2])) as other:
        with pytest.raises(
            NotFound, match=r"is not the one that this launch was sent to, at http://.*--master"
        ) as caught:
            await launch(other.url, wanted, display)
        assert "\n" not in str(caught.value)
        assert [] == await other.jobs()


async def test_a_refused_job_does_not_stop_the_others(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """A file outside the media root: every entry says why and what to do, exit 3, nothing stored."""
    plan = {"source": "/etc/hostname", "scenario": "720p30-h264"}
    outcome = await launch(farm.url, options(tmp_path, 3, plan=plan), display)
    assert outcome.exit_code == 3
    assert ["rejected"] * 3 == [one["status"] for one in entries(tmp_path)]
    assert all("outside the media root" in one["error"] for one in entries(tmp_path))
    assert outcome.submission.first_error is not None
    assert await farm.jobs() == []


async def test_nothing_is_sent_when_the_results_cannot_be_kept(farm: Farm, tmp_path: Path, display: Memory) -> None:
    wanted = LaunchOptions(plan=read_plan(count="5"), output=tmp_path / "no" / "r.json")
    with pytest.raises(InvalidField, match="--output"):
        await launch(farm.url, wanted, display)
    assert await farm.jobs() == []


async def serve_once(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def page(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status.encode(), len(body), body)


SICK = (
    b'{"status":"unhealthy","reasons":["the disk is full"],"version":"1","media_root":"/m","nodes_online":0,"jobs":{}}'
)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (page("200 OK", b"<html>hello</html>"), "is not a reelmill master"),
        (page("200 OK", b"{}"), "is not a reelmill master"),
        (page("404 Not Found", b"nope"), "is not a reelmill master"),
        (page("401 Unauthorized", b"nope"), "does not let us in"),
        (page("503 Service Unavailable", SICK), "unhealthy: the disk is full"),
    ],
)
async def test_what_is_no_farm_is_told_apart(tmp_path: Path, display: Memory, answer: bytes, sentence: str) -> None:
    """Another program, a locked door, a sick farm: one clear line each, and no results file."""
    server, url = await serve_once(answer)
    async with server:
        with pytest.raises(Exception, match=sentence) as caught:
            await launch(url, options(tmp_path, 5), display)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scheme", "sentence"), [("http", "reelmill up"), ("https", "reelmill up")])
async def test_where_nothing_listens_the_advice_is_how_to_start(
    tmp_path: Path, display: Memory, scheme: str, sentence: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(MasterUnreachable, match=sentence):
            await launch(url, options(tmp_path, 5), display)


async def test_https_to_a_plain_master_is_told(farm: Farm, tmp_path: Path, display: Memory) -> None:
    with pytest.raises(MasterUnreachable, match="write http://"):
        await launch(farm.url.replace("http:", "https:"), options(tmp_path, 5), display)


async def test_a_full_master_is_obeyed(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """429 with Retry-After: wait that long, send less at a time, say why, and lose nothing."""
    async with BadLine(farm.url, 0.0, 0, first=["429", "429"], retry_after=1) as line:
        outcome = await launch(line.url, options(tmp_path, 40, 20), display)
    assert (0, 40) == (outcome.exit_code, len(await farm.jobs()))
    first, second, third, *_ = line.batches_at
    assert second - first >= 1
    assert third - second >= 1
    assert any("slowing down to 10 jobs a request" in said for said in display.warnings)
    await assert_told(farm, entries(tmp_path))


async def test_a_full_queue_holds_up_its_own_jobs_only(tmp_path: Path, display: Memory) -> None:
    """Those of other queues are accepted, whatever request they were in."""
    stop, full = asyncio.Event(), 40
    wanted = options(tmp_path, 60, 60)
    others = sum(job.queue != "live" for job in plan_jobs(wanted.plan))
    async with running_farm(tmp_path, max_queued=full) as farm, MasterClient(farm.url) as client:
        await client.post("/jobs/batch", body={"jobs": [{"scenario": "480p30-h264", "queue": "live"}] * full})
        task = asyncio.create_task(run_launch(wanted, client, display, stop))

        async def count() -> int:
            return len(await farm.jobs())

        await wait_until(count, lambda n: n == others + full, seconds=30)
        stop.set()
        outcome = await task
    assert (130, others) == (outcome.exit_code, outcome.submission.accepted)
    assert any("live" in said for said in display.warnings)


async def test_where_nothing_is_ever_taken_a_launch_ends(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """A tenant that may have no jobs is no queue that will empty."""
    async with MasterClient(farm.url) as client:
        await client.put("/tenants/studio", {"max_queued": 0})
    outcome = await launch(farm.url, options(tmp_path, 5, plan={"tenant": "studio"}), display)
    assert (1, 0) == (outcome.exit_code, outcome.submission.submitted)
    assert "studio" in str(outcome.failure)


async def test_a_sample_that_is_refused_keeps_the_others_back(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """Nothing of it ran, so nothing is proven."""
    plan = {"source": "/etc/hostname", "scenario": "720p30-h264"}
    outcome = await launch(farm.url, options(tmp_path, 30, sample=3, plan=plan), display)
    assert (3, True, 3) == (outcome.exit_code, outcome.bad_sample, outcome.submission.rejected)


async def test_a_stop_while_the_master_is_full_leaves_what_was_never_taken(
    farm: Farm, tmp_path: Path, display: Memory
) -> None:
    """Such jobs are in no results: they are still to be sent."""
    stop = asyncio.Event()
    async with BadLine(farm.url, 0.0, 0, first=["429"] * 100, retry_after=5) as line, MasterClient(line.url) as client:
        task = asyncio.create_task(run_launch(options(tmp_path, 40, 20), client, display, stop))
        await wait_until(lambda: asyncio.sleep(0, line.batches_at), bool)
        stop.set()
        outcome = await task
    assert (130, 0) == (outcome.exit_code, outcome.submission.submitted)
    assert not await farm.jobs()


async def test_watching_ends_when_every_job_has_ended(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """`--wait` counts live, reports the end, and exits 3 when jobs did not complete."""
    wanted = options(tmp_path, 40, wait=True)
    running = asyncio.create_task(launch(farm.url, wanted, display))
    async with MasterClient(farm.url) as client:
        await wait_for(lambda: ("transcoding", 0) in display.seen)
        await client.post(f"/launches/{wanted.launch_id}/cancel")
    outcome = await running
    assert outcome.end is not None
    assert outcome.end.timings.launch.counts == {"canceled": 40}
    assert outcome.exit_code == 3
    assert display.seen[-1] == ("transcoding", 40)


async def test_watching_can_be_left(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """Ctrl-C while watching: exit 130, the jobs go on."""
    stop = asyncio.Event()
    running = asyncio.create_task(launch(farm.url, options(tmp_path, 5, wait=True), display, stop))
    await wait_for(lambda: ("transcoding", 0) in display.seen)
    stop.set()
    outcome = await running
    assert outcome.exit_code == 130
    assert {"queued"} == {job.status for job in await farm.jobs()}


async def test_watching_outlives_an_outage(farm: Farm, tmp_path: Path, display: Memory) -> None:
    """On a line where 60 % of the polls fail the watch still ends rightly, with one warning for each outage."""
    wanted = options(tmp_path, 5)
    await launch(farm.url, wanted, display)
    async with BadLine(farm.url, 0.6, 3) as line, MasterClient(line.url) as client, MasterClient(farm.url) as direct:
        watching = asyncio.create_task(
            watch_launch(client, wanted.launch_id, display, asyncio.Event(), every=0.01, outage=20)
        )
        await wait_for(lambda: line.broken >= 5)
        await direct.post(f"/launches/{wanted.launch_id}/cancel")
        end = await watching
    assert end is not None
    assert not end.all_completed
    assert any("still trying" in text for text in display.warnings)
    assert any("answers again" in text for text in display.lines)


async def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
