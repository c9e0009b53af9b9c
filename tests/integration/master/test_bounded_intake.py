"""A farm whose queues are full says so with 429, when to ask again, and keeps what it accepted (P1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.clock import SystemClock
from reelmill.master.master import Master
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import NOW
from tests.served import MakeSettings, Served

JOB = {"scenario": "480p30-h264"}


class StandingClock(SystemClock):
    """A clock of the day that shows what it is set to."""

    def __init__(self) -> None:
        self.shown = NOW

    def now(self) -> float:
        return self.shown


@pytest.fixture
def clock() -> StandingClock:
    """The clock of the farm."""
    return StandingClock()


@pytest.fixture
async def small(make_settings: MakeSettings, store: SqliteStore, clock: StandingClock) -> AsyncIterator[Served]:
    """A running master whose queues take ten jobs each."""
    bus = MemoryBus()
    master = Master(make_settings(max_queued=10), store, bus, clock, alone=False)
    await master.start()
    async with httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
        yield Served(master, store, bus, client)
    await master.stop()
    await bus.stop()


def keyed(count: int, **fields: Any) -> dict[str, Any]:
    """The body of a batch of jobs with keys."""
    return {"jobs": [JOB | fields | {"idempotency_key": f"k{n}"} for n in range(count)]}


async def test_a_batch_that_does_not_fit_is_a_429_and_leaves_nothing(small: Served) -> None:
    """With the queue, how many wait, the limit, and when to ask again; no job and no launch of it is there."""
    assert 201 == (await small.client.post("/jobs/batch", json=keyed(8))).status_code
    body = {"jobs": [JOB] * 3, "launch": {"id": "spring"}}
    answer = await small.client.post("/jobs/batch", json=body)

    assert (429, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    found = answer.json()
    assert ("queue_full", 429, 8, 10) == (found["code"], found["status"], found["waiting"], found["limit"])
    assert "queue 'default' has no room for these 3 new jobs: 8 of at most 10 jobs wait in it" in found["detail"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert 8 == (await small.get("/jobs/summary"))["total"]
    assert 404 == (await small.client.get("/launches/spring")).status_code
    assert 201 == (await small.client.post("/jobs/batch", json={"jobs": [JOB] * 2})).status_code


async def test_a_repeat_is_answered_when_the_queue_is_full(small: Served) -> None:
    """A client whose answer was lost asks again and gets its jobs, however full it is by then."""
    first = await small.client.post("/jobs/batch", json=keyed(10))
    again = await small.client.post("/jobs/batch", json=keyed(10))
    assert [201, 201] == [first.status_code, again.status_code]
    assert [item["job"]["id"] for item in first.json()["results"]] == [
        item["job"]["id"] for item in again.json()["results"]
    ]
    single = await small.client.post("/jobs", json=JOB | {"idempotency_key": "k3"})
    assert (200, first.json()["results"][3]["job"]["id"]) == (single.status_code, single.json()["id"])


async def test_of_many_single_jobs_as_many_as_fit_are_taken(small: Served) -> None:
    """Sent at the same time, stored together: each has its own answer."""
    answers = await asyncio.gather(*(small.client.post("/jobs", json=JOB) for _ in range(25)))

    assert {201: 10, 429: 15} == dict(Counter(answer.status_code for answer in answers))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {"queue_full"} == {answer.json()["code"] for answer in refused}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in refused)
    assert 10 == (await small.get("/jobs/summary"))["total"]
    assert "reelmill_jobs_refused_total 15.0" in (await small.client.get("/metrics")).text


async def test_a_tenant_is_refused_by_its_own_limit(small: Served) -> None:
    """Other tenants go on."""
    await small.client.put("/tenants/studio", json={"max_queued": 1})
    answer = await small.client.post("/jobs/batch", json={"jobs": [JOB | {"tenant": "studio"}] * 2})
    assert (429, "tenant_full", 0, 1) == (
        *(answer.status_code, answer.json()["code"]),
        *(answer.json()["waiting"], answer.json()["limit"]),
    )
    assert "can never fit into tenant 'studio', in which at most 1 may wait" in answer.json()["detail"]
    assert 201 == (await small.client.post("/jobs/batch", json={"jobs": [JOB] * 2})).status_code


async def test_retry_after_follows_how_fast_the_queue_drains(small: Served, clock: StandingClock) -> None:
    """What is too much, at the pace of the last half minute; from a second to half a minute."""

    async def wait(count: int) -> int:
        clock.shown += 2  # a pace is good for a second
        answer = await small.client.post("/jobs/batch", json={"jobs": [JOB] * count})
        assert 429 == answer.status_code
        return int(answer.headers["Retry-After"])

    await small.client.post("/jobs/batch", json=keyed(10))
    assert 30 == await wait(1)
    for job in (await Farmhand(small.store).jobs())[:6]:
        assert 200 == (await small.client.post(f"/jobs/{job.id}/cancel")).status_code
    assert [5, 20] == [await wait(7), await wait(10)]
    clock.shown += 60
    assert 30 == await wait(10)


async def test_a_batch_is_validated_as_it_would_be_stored(small: Served) -> None:
    """The same verdict for each job, in order; and nothing is there afterwards."""
    body = {
        "jobs": [
            JOB,
            JOB | {"queue": "express"},
            JOB | {"parameters": {"input": "missing.mov"}},
            JOB | {"idempotency_key": "twice"},
            JOB | {"idempotency_key": "twice", "priority": "high"},
            7,
        ],
        "launch": {"id": "spring"},
    }
    judged = (await small.client.post("/jobs/validate", json=body)).json()
    assert {"jobs": [], "count": 0, "next": None} == await small.get("/jobs")
    assert 0 == (await small.get("/launches"))["count"]
    stored = (await small.client.post("/jobs/batch", json=body)).json()

    assert [200, 422, 422, 200, 409, 422] == [item["status"] for item in judged["results"]]
    assert (2, 4, [], {"queue default": 10}) == tuple(
        judged[name] for name in ("accepted", "rejected", "warnings", "room")
    )
    problems = [[item.get("problem", {}).get("code") for item in found["results"]] for found in (judged, stored)]
    assert problems[0] == problems[1]
    assert [201, 422, 422, 201, 409, 422] == [item["status"] for item in stored["results"]]


async def test_validation_warns_of_what_is_full(small: Served) -> None:
    """It is no error: by the time of the launch there may be room."""
    await small.client.post("/jobs/batch", json=keyed(9))
    answer = await small.client.post("/jobs/validate", json={"jobs": [JOB] * 2})

    found = answer.json()
    assert (200, 2, 0, {"queue default": 1}) == (
        *(answer.status_code, found["accepted"], found["rejected"]),
        found["room"],
    )
    assert [("queue_full", 9, 10)] == [(one["code"], one["waiting"], one["limit"]) for one in found["warnings"]]
    assert [] == (await small.client.post("/jobs/validate", json={"jobs": [JOB]})).json()["warnings"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"jobs": []}', 422, "invalid_field"),
        (b'{"surprise": 1}', 422, "invalid_field"),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_as_a_batch_is(
    small: Served, body: bytes, status: int, code: str
) -> None:
    """The same status and code."""
    for path in ("/jobs/validate", "/jobs/batch"):
        answer = await small.client.post(path, content=body)
        assert (status, code) == (answer.status_code, answer.json()["code"])


async def test_what_is_full_is_shown(small: Served) -> None:
    """A full queue is no illness: the farm is healthy, and says it; the metrics have how many wait and the limit."""
    assert [] == (await small.get("/health"))["full_queues"]
    await small.client.post("/jobs/batch", json=keyed(10, queue="batch"))
    health = await small.get("/health")
    assert ("healthy", ["batch"]) == (health["status"], health["full_queues"])
    metrics = (await small.client.get("/metrics")).text
    assert 'reelmill_queue_waiting{queue="batch"} 10.0' in metrics
    assert 'reelmill_queue_limit{queue="batch"} 10.0' in metrics
    assert 'batch 10 <span class="failed">(full)</span>' in (await small.client.get("/")).text


async def test_the_api_describes_its_refusals(small: Served) -> None:
    """OpenAPI has the 429 of both ways to submit."""
    paths = (await small.get("/openapi.json"))["paths"]
    for path in ("/jobs", "/jobs/batch"):
        assert "queue_full" in paths[path]["post"]["responses"]["429"]["description"]
