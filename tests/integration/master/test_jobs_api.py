"""Looking at jobs and acting on them over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from reelmill.bus.words import drop_notice
from reelmill.domain.attempt import AttemptKey, AttemptLog
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, failed, new_job, new_jobs, node_info
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


@pytest.mark.parametrize("value", ["%00", "%ff", "'", "%22", "\\", "%25", "a%00b", "x" * 5000, "[0]", "$", "é"])
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
        *(("pause", "paused"), ("pause", "paused"), ("resume", "queued"), ("cancel", "canceled")),
        *(("cancel", "canceled"), ("retry", "queued")),
    ):
        code, found = await act(action)
        assert (200, status) == (code, found["status"]), (action, found)
    for action in ("resume", "retry"):
        code, found = await act(action)
        assert (409, "wrong_state", "queued") == (code, found["code"], found["job_status"])
    history = (await served.get(f"/jobs/{job['id']}/history"))["history"]
    assert ["queued", "paused", "queued", "canceled", "queued"] == [step["to_status"] for step in history]


async def test_canceling_a_running_job_tells_its_node_at_once(served: Served) -> None:
    """Without waiting for the next beat."""
    farm = Farmhand(served.store)
    told: asyncio.Queue[AttemptKey] = asyncio.Queue()
    await drop_notice(NODE.id).listen(served.bus, told.put)
    await farm.submit(new_job())
    key = await farm.run(NODE)

    answer = await served.client.post(f"/jobs/{key.job_id}/cancel")

    assert (200, "canceled") == (answer.status_code, answer.json()["status"])
    async with asyncio.timeout(5):
        assert key == await told.get()


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
