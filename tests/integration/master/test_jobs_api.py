"""Looking at jobs and acting on them over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import httpx2
import pytest

from reelmill.bus.words import order_notice
from reelmill.domain.attempt import AttemptLog, AttemptOrder
from reelmill.errors import StoreUnavailable
from reelmill.store.counts import read_counts
from reelmill.store.retention import prune_ended
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, failed, new_job, new_jobs, node_info, started
from tests.served import Served

MEMORY = pytest.mark.parametrize("store", ["memory"], indirect=True)
NODE = node_info()


async def ids(served: Served, path: str) -> list[str]:
    """The ids of a listing, whose count must be right."""
    page = await served.get(path)
    assert page["count"] == len(page["jobs"])
    return [job["id"] for job in page["jobs"]]


async def test_without_a_limit_every_job_is_streamed_once_while_others_come_in(served: Served) -> None:
    """3,500 jobs over several pages of the store, valid JSON, each once and in order, `next` null."""
    farm = Farmhand(served.store)
    first = [job.id for job in await farm.submit(*new_jobs(3500))]
    body = b""
    async with served.client.stream("GET", "/jobs") as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) < 2_000_000:
                await farm.submit(new_job())
    page = json.loads(body)
    got = [job["id"] for job in page["jobs"]]

    assert page["next"] is None
    assert page["count"] == len(got) == len(set(got))
    assert first == got[:3500]


@MEMORY
async def test_an_empty_farm_lists_nothing(served: Served) -> None:
    """With and without a limit."""
    nothing: dict[str, Any] = {"jobs": [], "count": 0, "next": None}

    assert nothing == await served.get("/jobs") == await served.get("/jobs?limit=5")


@pytest.mark.parametrize("size", [1, 7, 25, 26])
@MEMORY
async def test_pages_follow_each_other_by_cursor(served: Served, size: int) -> None:
    """All jobs, each once, in both directions."""
    expected = [job.id for job in await Farmhand(served.store).submit(*new_jobs(25))]
    for order in ("asc", "desc"):
        got: list[str] = []
        cursor = ""
        while True:
            page = await served.get(f"/jobs?limit={size}&order={order}{cursor}")
            got += [job["id"] for job in page["jobs"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert (expected if order == "asc" else expected[::-1]) == got


@MEMORY
async def test_a_large_page_is_read_in_pieces_and_says_where_it_ends(served: Served) -> None:
    """2,500 of 3,500 jobs: those numbers, that count, and the cursor of the rest."""
    await Farmhand(served.store).submit(*new_jobs(3500))
    page = await served.get("/jobs?limit=2500&fields=sequence_number")
    rest = await served.get(f"/jobs?limit=2500&fields=sequence_number&cursor={page['next']}")

    assert (2500, 1000, None) == (page["count"], rest["count"], rest["next"])
    assert list(range(1, 3501)) == [job["sequence_number"] for job in page["jobs"] + rest["jobs"]]


@MEMORY
async def test_a_job_looks_the_same_in_a_list_and_alone(served: Served) -> None:
    """Every field of a completed, a failed, a running and a waiting one, from what the store keeps."""
    farm = Farmhand(served.store)
    jobs = [new_job(labels={"team": 'a "b" é'}, confidence=value) for value in (0.5, "high", None)]
    await farm.submit(*jobs, new_job(), launch="spring")
    one = node_info(units=1)
    await farm.complete(one)
    await farm.report(failed(await farm.run(one), one, BAD_INPUT))
    await farm.run(one)
    for tail in ("", "?limit=10"):
        listed = (await served.get(f"/jobs{tail}"))["jobs"]
        assert [await served.get(f"/jobs/{job['id']}") for job in listed] == listed
        assert ["completed", "failed", "running", "queued"] == [job["status"] for job in listed]


@MEMORY
async def test_a_listing_that_cannot_begin_says_so_by_its_status(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with 200 and half a document."""

    async def refuse(_work: object, **_how: object) -> None:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(served.store, "read", refuse)
    for path in ("/jobs", "/jobs?limit=5"):
        answer = await served.client.get(path)
        assert (503, "2") == (answer.status_code, answer.headers.get("retry-after"))


@MEMORY
async def test_a_listing_that_breaks_off_is_an_error(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection breaks off too, so that nobody takes the first part for all there is."""
    await Farmhand(served.store).submit(*new_jobs(3500))
    read = served.store.read
    left = iter(range(2))

    async def read_twice(work: Any) -> Any:
        if next(left, None) is None:
            raise StoreUnavailable("the store is away")
        return await read(work)

    monkeypatch.setattr(served.store, "read", read_twice)
    with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
        await served.client.get("/jobs")


@MEMORY
async def test_a_client_that_does_not_read_makes_the_master_wait_not_swell(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream of 24 MB whose reader falls asleep: no more is read from the store than the connection holds."""
    for _ in range(3):
        await Farmhand(served.store).submit(*new_jobs(10_000))
    read = served.store.read
    pieces = 0

    async def count(work: Any) -> Any:
        nonlocal pieces
        pieces += work is not read_counts  # which the summary reads
        return await read(work)

    monkeypatch.setattr(served.store, "read", count)
    host, port = served.master.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    seen = -1
    while seen != pieces:  # until nothing more comes while others are answered
        seen = pieces
        for _ in range(50):
            await served.get("/jobs/summary")

    assert 0 < seen < 25, seen
    writer.close()


@MEMORY
async def test_filters_and_fields_work_with_and_without_a_limit(served: Served) -> None:
    """The same answer from a page and from the stream."""
    a = await served.submit(queue="live", labels={"team": "a"})
    b = await served.submit(scenario="720p30-h264", priority="low", labels={"team": "b"})
    await served.submit(labels={"team": "a"})
    for tail in ("", "&limit=100"):
        assert [a["id"]] == await ids(served, f"/jobs?queue=live{tail}")
        assert [b["id"]] == await ids(served, f"/jobs?label=team:b&scenario=720P30-H264{tail}")
        assert [a["id"]] == await ids(served, f"/jobs?label=team:a&queue=live,batch&status=queued{tail}")
        assert [] == await ids(served, f"/jobs?status=completed{tail}")
        page = await served.get(f"/jobs?fields=id,status,created_at&priority=low{tail}")
        assert [{"id": b["id"], "status": "queued", "created_at": b["created_at"]}] == page["jobs"]
    newest = await served.get("/jobs?order=desc&limit=1")
    assert 3 == newest["jobs"][0]["sequence_number"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("queue=express", "queue"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=-1", "cursor"),
        ("fields=password", "fields"),
        ("label=x", "label"),
        ("label=%00:x", "label"),
        ("label=team:%00", "label"),
        ("tenant=a%00b", "tenant"),
        ("label=%22:x", "label"),
        ("color=red", "color"),
        ("order=up", "order"),
        ("scenario=8K", "scenario"),
    ],
)
@MEMORY
async def test_a_query_that_makes_no_sense_names_the_parameter(served: Served, query: str, field: str) -> None:
    """422 as a problem document, never every job there is."""
    answer = await served.client.get(f"/jobs?{query}")

    assert (422, field) == (answer.status_code, answer.json()["field"])
    assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.parametrize("value", ["%ff", "'", "%22", "\\", "%25", "x" * 5000, "[0]", "$", "é"])
@MEMORY
async def test_odd_values_in_a_query_find_nothing_and_break_nothing(served: Served, value: str) -> None:
    """Text is text, in every filter that takes any."""
    await served.submit()
    for name in ("launch", "node", "tenant", "label"):
        query = f"label=team:{value}" if name == "label" else f"{name}={value}"
        for tail in ("", "&limit=5"):
            assert [] == await ids(served, f"/jobs?{query}{tail}")
    answer = await served.client.get(f"/jobs?label={value}:x")
    assert answer.status_code in (200, 422)


@MEMORY
async def test_a_look_up_by_id_never_finds_another_job(served: Served) -> None:
    """Leading digits of an id are not a sequence number: every job is found by its own id, and not by a part."""
    jobs = await Farmhand(served.store).submit(*new_jobs(60))
    for job in jobs:
        assert job.id == (await served.get(f"/jobs/{job.id}"))["id"]
        assert job.id == (await served.get(f"/jobs/{job.sequence_number}"))["id"]
        for part in (f"{job.sequence_number}-{job.id[9:]}", job.id[:8], f"{job.sequence_number}abc"):
            if not part.isdigit():
                assert 404 == (await served.client.get(f"/jobs/{part}")).status_code


@pytest.mark.parametrize("reference", ["0", "99", "nobody", "9" * 30, "9" * 5000, "-1", "%00", "a%2fb", "'"])
@MEMORY
async def test_an_unknown_job_is_a_404_everywhere(served: Served, reference: str) -> None:
    """As a problem document with a short sentence."""
    await served.submit()
    for method, tail in (
        *(("GET", tail) for tail in ("", "/history", "/logs")),
        *(("POST", f"/{action}") for action in ("cancel", "pause", "resume", "retry")),
    ):
        answer = await served.client.request(method, f"/jobs/{reference}{tail}")
        assert 404 == answer.status_code, answer.text
        assert "not_found" == answer.json()["code"]
        assert len(answer.json()["detail"]) < 6000


@MEMORY
async def test_the_summary_counts_by_every_property(served: Served) -> None:
    """And the parts add up."""
    for queue, count in (("live", 3), ("batch", 2)):
        for _ in range(count):
            await served.submit(queue=queue)
    await served.client.post("/jobs/1/cancel")

    summary = await served.get("/jobs/summary")

    assert 5 == summary["total"]
    assert {"queued": 4, "canceled": 1} == summary["by_status"]
    assert {"live": 3, "batch": 2} == summary["by_queue"]
    assert ({"medium": 5}, {"480p30-h264": 5}) == (summary["by_priority"], summary["by_scenario"])
    assert 5 == sum(entry["count"] for entry in summary["counts"])


@MEMORY
async def test_a_users_actions_change_the_job_or_say_why_not(served: Served) -> None:
    """Pause, resume, cancel and retry; a 409 tells the state; the same again is no error."""
    job = await served.submit()

    async def act(action: str) -> tuple[int, dict[str, Any]]:
        answer = await served.client.post(f"/jobs/{job['id']}/{action}")
        return answer.status_code, answer.json()

    for action, status in (
        *(("pause", "paused"), ("pause", "paused"), ("resume", "queued"), ("resume", "queued")),
        *(("cancel", "canceled"), ("cancel", "canceled"), ("retry", "queued")),
    ):
        code, found = await act(action)
        assert (200, status) == (code, found["status"]), (action, found)
    code, found = await act("retry")
    assert (409, "wrong_state", "queued") == (code, found["code"], found["job_status"])
    history = (await served.get(f"/jobs/{job['id']}/history"))["history"]
    assert ["queued", "paused", "queued", "canceled", "queued"] == [step["to_status"] for step in history]


async def test_what_is_done_to_a_running_job_is_told_to_its_node_at_once(served: Served) -> None:
    """Without waiting for the next beat; and again when it is done again, for a word may have been lost."""
    farm = Farmhand(served.store)
    told: asyncio.Queue[AttemptOrder] = asyncio.Queue()
    await order_notice(NODE.id).listen(served.bus, told.put)
    await farm.submit(new_job())
    key = await farm.run(NODE)

    steps: list[tuple[str, str, Literal["drop", "pause", "resume"]]] = [
        ("pause", "paused", "pause"),
        ("pause", "paused", "pause"),
        ("resume", "running", "resume"),
        ("resume", "running", "resume"),
        ("pause", "paused", "pause"),
        ("cancel", "canceled", "drop"),
    ]
    for action, status, order in steps:
        answer = await served.client.post(f"/jobs/{key.job_id}/{action}")
        assert (200, status) == (answer.status_code, answer.json()["status"])
        async with asyncio.timeout(5):
            assert AttemptOrder(key, order) == await told.get()


async def test_canceling_a_launch_tells_the_nodes_of_its_running_and_paused_jobs(served: Served) -> None:
    """Each of them once."""
    farm = Farmhand(served.store)
    told: asyncio.Queue[AttemptOrder] = asyncio.Queue()
    await order_notice(NODE.id).listen(served.bus, told.put)
    await farm.submit(*new_jobs(3), launch="L")
    running, standing = [grant.key for grant in await farm.claim(NODE, 2)]
    await farm.report(started(running, NODE), started(standing, NODE))
    await farm.act(standing.job_id, "pause")

    answer = await served.client.post("/launches/L/cancel")

    assert (200, 3) == (answer.status_code, answer.json()["canceled"])
    async with asyncio.timeout(5):
        orders = [await told.get(), await told.get()]
    assert {AttemptOrder(running, "drop"), AttemptOrder(standing, "drop")} == set(orders)
    assert told.empty()


async def test_an_assigned_job_that_is_paused_is_dropped_by_its_node(served: Served) -> None:
    """Nothing ran there yet."""
    farm = Farmhand(served.store)
    told: asyncio.Queue[AttemptOrder] = asyncio.Queue()
    await order_notice(NODE.id).listen(served.bus, told.put)
    await farm.submit(new_job())
    key = await farm.claim_one(NODE)

    answer = await served.client.post(f"/jobs/{key.job_id}/pause")

    assert (200, "paused", None) == (answer.status_code, answer.json()["status"], answer.json()["node_id"])
    async with asyncio.timeout(5):
        assert AttemptOrder(key, "drop") == await told.get()


async def test_history_and_logs_of_a_job_are_shown(served: Served) -> None:
    """Each step with its time, each attempt with what its engine said."""
    farm = Farmhand(served.store)
    await farm.submit(new_job())
    key = await farm.run(NODE)
    await farm.report(failed(key, NODE, BAD_INPUT, AttemptLog("ffmpeg -i x", "No such file <x>")))

    job = await served.get(f"/jobs/{key.job_id}")
    assert ("failed", "input_error", "input_missing", BAD_INPUT.message) == (
        *(job["status"], job["failure_reason"], job["error_code"], job["error"]),
    )
    logs = await served.get(f"/jobs/{key.job_id}/logs")
    assert [{"attempt": 1, "node_name": NODE.name, "command": "ffmpeg -i x", "text": "No such file <x>"}] == logs[
        "attempts"
    ]
    steps = (await served.get(f"/jobs/{key.job_id}/history"))["history"]
    assert [None, "queued", "assigned", "running"] == [step["from_status"] for step in steps]
    assert all(step["at"].endswith(("Z", "+00:00")) for step in steps)


async def test_a_job_that_is_pruned_while_it_is_explained_is_a_404(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another master forgets it between two looks: that is no fault of ours."""
    job = await served.submit()
    await served.client.post(f"/jobs/{job['id']}/cancel")
    read = served.store.read

    async def read_and_prune(work: Any) -> Any:
        found = await read(work)
        await served.store.write(lambda tx: prune_ended(tx, 1e12, 10))
        return found

    monkeypatch.setattr(served.store, "read", read_and_prune)
    assert 200 == (await served.client.get(f"/jobs/{job['id']}/explain")).status_code, "one look is enough"
    assert 404 == (await served.client.get(f"/jobs/{job['id']}/explain")).status_code
