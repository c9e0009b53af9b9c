"""POST /jobs and /jobs/batch over a real socket: kept, or refused with the field that is wrong (P1, P9)."""

from __future__ import annotations

import asyncio
import json
import math
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from reelmill.errors import StoreUnavailable
from tests.served import Served

pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)


def problem(answer: httpx2.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, which must have this status, code and field."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found = answer.json()
    assert (status, status, code, field) == (answer.status_code, found["status"], found["code"], found.get("field"))
    assert {"type", "title", "detail"} <= set(found)
    return found


async def test_a_submitted_job_is_answered_whole(served: Served) -> None:
    """201, with everything that the design lists, and times with their zone."""
    (served.master.farm.media_root / "a.mov").touch()
    answer = await served.client.post(
        "/jobs",
        json={
            "scenario": "4k60-H265",
            "engine": "ffmpeg",
            "queue": "live",
            "priority": "high",
            "parameters": {"duration": 5, "bitrate": "12M", "input": "a.mov"},
            "labels": {"team": "a"},
            "confidence": 0.9,
        },
    )
    job = answer.json()

    assert 201 == answer.status_code
    assert 7 == uuid.UUID(job["id"]).version
    expected: dict[str, Any] = {
        "sequence_number": 1,
        "scenario": "4K60-h265",
        "engine": "ffmpeg",
        "queue": "live",
        "priority": "high",
        "status": "queued",
        "progress": 0.0,
        "attempt": 0,
        "node_id": None,
        "node_name": None,
        "started_at": None,
        "completed_at": None,
        "error": None,
        "failure_reason": None,
        "result": None,
        "labels": {"team": "a"},
        "confidence": 0.9,
    }
    assert expected == {name: job[name] for name in expected}
    assert (5.0, 12_000_000, "a.mov") == (
        *(job["parameters"]["duration"], job["parameters"]["bitrate"], job["parameters"]["input"]),
    )
    age = datetime.now(UTC) - datetime.fromisoformat(job["created_at"])
    assert 0 <= age.total_seconds() < 60
    shown = job | {"blocked": "no node is online"}
    assert shown == await served.get(f"/jobs/{job['id']}") == await served.get("/jobs/1")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"scenario": ""}, "scenario"),
    ({"scenario": "8K"}, "scenario"),
    ({"scenario": None}, "scenario"),
    ({"scenario": "x" * 1_000_000}, "scenario"),
    ({"queue": "express"}, "queue"),
    ({"priority": "urgent"}, "priority"),
    ({"engine": "handbrake"}, "engine"),
    ({"surprise": 1}, "surprise"),
    ({"parameters": {"codec": "h264"}}, "parameters.codec"),
    ({"parameters": {"duration": -5}}, "parameters.duration"),
    ({"parameters": {"duration": 1e300}}, "parameters.duration"),
    ({"parameters": {"duration": "5"}}, "parameters.duration"),
    ({"parameters": {"bitrate": "5 potatoes"}}, "parameters.bitrate"),
    ({"parameters": {"bitrate": "9" * 400}}, "parameters.bitrate"),
    ({"parameters": {"bitrate": 1}}, "parameters.bitrate"),
    ({"parameters": {"input": "../../etc/passwd"}}, "parameters.input"),
    ({"parameters": {"output": "/etc/cron.d/x.mp4"}}, "parameters.output"),
    ({"parameters": {"output": "a\0.mp4"}}, "parameters.output"),
    ({"parameters": {"output": ".reelmill/x.mp4"}}, "parameters.output"),
    ({"labels": {"a b": "c"}}, "labels"),
    ({"idempotency_key": ""}, "idempotency_key"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
async def test_a_bad_job_is_refused_with_its_field(served: Served, body: dict[str, Any], field: str) -> None:
    """422 and a short sentence; nothing is stored."""
    found = problem(
        await served.client.post("/jobs", json={"scenario": "480p30-h264"} | body), 422, "invalid_field", field
    )

    assert len(found["detail"]) < 2000
    assert 0 == (await served.get("/jobs/summary"))["total"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"scenario=480p30-h264", b'{"scenario": "\xc3\x28"}', b"NaN"])
@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
async def test_a_body_that_is_no_json_is_a_400(served: Served, path: str, body: bytes) -> None:
    """Whatever its content type says."""
    problem(await served.client.post(path, content=body), 400, "malformed_json")


async def test_an_item_that_is_no_text_makes_the_body_no_json(served: Served) -> None:
    """Bytes that are not UTF-8 inside one item: 400 for the whole, and nothing is stored."""
    good = b'{"scenario": "480p30-h264"}'
    body = b'{"jobs": [%s, {"scenario": "480p30-h264", "labels": {"a": "\xc3\x28"}}, %s]}' % (good, good)

    problem(await served.client.post("/jobs/batch", content=body), 400, "malformed_json")
    assert 0 == (await served.get("/jobs/summary"))["total"]


@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_a_413(served: Served, path: str, chunked: bool) -> None:
    """With or without its length said beforehand; the master goes on."""
    block = b'{"scenario": "' + b"x" * 1_000_000

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield block

    problem(await served.client.post(path, content=blocks() if chunked else block * 10), 413, "body_too_large")
    await served.submit()


async def test_the_same_key_and_body_is_answered_with_the_same_job(served: Served) -> None:
    """201 and then 200, by header, by body, or one of each."""
    headers = {"Idempotency-Key": "k-1"}
    body = {"scenario": "480p30-h264", "parameters": {"duration": 2}}
    first = await served.client.post("/jobs", json=body, headers=headers)
    again = await served.client.post("/jobs", json=body, headers=headers)
    third = await served.client.post("/jobs", json=body | {"idempotency_key": "k-1"})

    assert [201, 200, 200] == [first.status_code, again.status_code, third.status_code]
    assert first.json() == again.json() == third.json()
    other = await served.client.post("/jobs", json=body | {"queue": "live"}, headers=headers)
    assert first.json()["id"] in problem(other, 409, "idempotency_key_reused")["detail"]
    assert 1 == (await served.get("/jobs/summary"))["total"]


async def test_two_different_keys_for_one_job_are_refused(served: Served) -> None:
    """Which one would count?"""
    body = {"scenario": "480p30-h264", "idempotency_key": "a"}
    answer = await served.client.post("/jobs", json=body, headers={"Idempotency-Key": "b"})

    problem(answer, 422, "invalid_field", "idempotency_key")


async def test_a_hundred_requests_with_one_key_make_one_job(served: Served) -> None:
    """At the same moment, over many connections."""
    body = {"scenario": "480p30-h264", "idempotency_key": "same"}
    answers = await asyncio.gather(*(served.client.post("/jobs", json=body) for _ in range(100)))

    assert 1 == len({answer.json()["id"] for answer in answers})
    assert [200] * 99 + [201] == sorted(answer.status_code for answer in answers)


async def test_a_bad_item_never_sinks_the_good_ones(served: Served) -> None:
    """Item by item, in order: the job with 201 or 200, or the problem with its status."""
    good: dict[str, Any] = {"scenario": "480p30-h264"}
    keyed = good | {"idempotency_key": "k"}
    jobs: list[Any] = [good, {"scenario": "8K"}, keyed, keyed, keyed | {"queue": "live"}, 7, None, [], good]
    jobs += [good | {"parameters": {"duration": -1}}, good]

    answer = await served.client.post("/jobs/batch", json={"jobs": jobs, "launch": {"name": "mixed"}})
    batch = answer.json()

    assert 201 == answer.status_code
    assert [201, 422, 201, 200, 409, 422, 422, 422, 201, 422, 201] == [item["status"] for item in batch["results"]]
    assert list(range(len(jobs))) == [item["index"] for item in batch["results"]]
    assert (5, 6) == (batch["accepted"], batch["rejected"])
    assert all(("job" in item) != ("problem" in item) for item in batch["results"])
    assert "scenario" == batch["results"][1]["problem"]["field"]
    assert "parameters.duration" == batch["results"][9]["problem"]["field"]
    launch = await served.get(f"/launches/{batch['launch_id']}")
    assert ("mixed", 4, 4) == (launch["name"], launch["total"], launch["open"])


async def test_a_batch_of_nothing_but_bad_items_is_a_422(served: Served) -> None:
    """With every reason, and no launch left behind."""
    answer = await served.client.post("/jobs/batch", json={"jobs": [{"scenario": "8K"}] * 3, "launch": {"id": "L"}})

    assert (422, 0, 3) == (answer.status_code, answer.json()["accepted"], answer.json()["rejected"])
    assert 0 == (await served.get("/launches"))["count"]


async def test_an_item_of_a_batch_that_is_no_object_is_told_so(served: Served) -> None:
    """Of the item, not of the request around it."""
    answer = await served.client.post("/jobs/batch", json={"jobs": [[1]]})
    expected = (422, "the job must be an object, not a list")
    assert expected == (answer.status_code, answer.json()["results"][0]["problem"]["detail"])


WRONG_TYPES: list[tuple[str, str, Any]] = [
    ("POST", "/jobs", {"scenario": "480p30-h264", "parameters": {"duration": "x"}}),
    ("POST", "/jobs", [{"scenario": "480p30-h264"}]),
    ("POST", "/jobs/batch", {"jobs": 3}),
    ("POST", "/jobs/batch", {"jobs": [{"scenario": "480p30-h264"}], "launch": {"id": 3}}),
    ("PUT", "/tenants/acme", {"max_running": "few"}),
    ("GET", "/launches?limit=few", None),
    ("GET", "/launches?limit=0", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRONG_TYPES)
async def test_a_value_of_the_wrong_type_is_told_without_the_names_of_types(
    served: Served, method: str, path: str, body: Any
) -> None:
    """Through the whole API: the field, and what it must be."""
    answer = await served.client.request(method, path, json=body)
    detail = answer.json()["detail"]
    assert (422, True, set()) == (answer.status_code, "must be" in detail, set("`$") & set(detail)), detail


BAD_BATCHES: list[tuple[dict[str, Any], str]] = [
    ({"jobs": []}, "jobs"),
    ({"jobs": [{"scenario": "480p30-h264"}] * 10_001}, "jobs"),
    ({}, "jobs"),
    ({"jobs": 7}, "jobs"),
    ({"jobs": [{}], "lunch": {}}, "lunch"),
    ({"jobs": [{}], "launch": {"id": "a/b"}}, "launch.id"),
    ({"jobs": [{}], "launch": {"id": ""}}, "launch.id"),
    ({"jobs": [{}], "launch": {"name": "x" * 201}}, "launch.name"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BATCHES)
async def test_a_batch_that_makes_no_sense_is_refused_whole(served: Served, body: dict[str, Any], field: str) -> None:
    """None, more than 10,000, or no list at all."""
    problem(await served.client.post("/jobs/batch", json=body), 422, "invalid_field", field)
    assert 0 == (await served.get("/jobs/summary"))["total"]


async def test_ten_thousand_jobs_are_one_batch(served: Served) -> None:
    """The most that a batch may hold is held."""
    jobs = [{"scenario": "480p30-h264"}] * 10_000
    batch = (await served.client.post("/jobs/batch", json={"jobs": jobs})).json()

    assert (10_000, 0) == (batch["accepted"], batch["rejected"])
    assert list(range(1, 10_001)) == [item["job"]["sequence_number"] for item in batch["results"]]
    assert 10_000 == (await served.get("/jobs/summary"))["total"]


async def test_a_store_that_refuses_is_a_503_that_says_when_to_come_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was kept, and the next request may succeed."""

    async def refuse(_work: object, **_how: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(served.store, "write", refuse)
        for path, body in (
            ("/jobs", {"scenario": "480p30-h264"}),
            ("/jobs/batch", {"jobs": [{"scenario": "480p30-h264"}]}),
        ):
            answer = await served.client.post(path, json=body)
            assert "the disk is full" == problem(answer, 503, "store_unavailable")["detail"]
            assert int(answer.headers["retry-after"]) > 0
    await served.submit()
    assert 1 == (await served.get("/jobs/summary"))["total"]


def random_value(rng: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can say."""
    texts = ["", "live", "480p30-h264", "x" * 300, "\0", "é", "\U0001f600", "5M", "../x", "9" * 400, "%s{}", "' OR 1=1"]
    numbers = [0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, 5e-324]
    choices: list[Any] = [*texts, *numbers, True, False, None]
    if depth < 2 and rng.random() < 0.3:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if depth < 2 and rng.random() < 0.3:
        return {rng.choice(texts): random_value(rng, depth + 1) for _ in range(rng.randrange(3))}
    return rng.choice(choices)


async def test_whatever_is_sent_is_never_a_500(served: Served) -> None:
    """Thousands of bodies, each with some members wrong in some way: always one of the promised statuses."""
    rng = random.Random(20)
    fields = ["scenario", "engine", "queue", "priority", "parameters", "labels", "idempotency_key", "confidence", "zzz"]
    inner = ["duration", "bitrate", "input", "output", "overwrite", "timeout", "zzz"]
    seen: dict[int, int] = {}

    def body() -> Any:
        made: dict[str, Any] = {"scenario": "480p30-h264"}
        for name in rng.sample(fields, rng.randrange(4)):
            made[name] = random_value(rng)
        if rng.random() < 0.5:
            made["parameters"] = {name: random_value(rng) for name in rng.sample(inner, rng.randrange(3))}
        return random_value(rng) if rng.random() < 0.05 else made

    async def send() -> None:
        content = json.dumps(body(), allow_nan=True).encode()
        answer = await served.client.post("/jobs", content=content)
        assert answer.status_code in {200, 201, 400, 409, 413, 422}, (answer.status_code, content)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"

    for _ in range(60):
        await asyncio.gather(*(send() for _ in range(40)))
    batch = await served.client.post("/jobs/batch", content=json.dumps({"jobs": [body() for _ in range(2000)]}))
    assert batch.status_code == 201
    assert {item["status"] for item in batch.json()["results"]} <= {200, 201, 409, 422}
    assert {201, 422} <= set(seen)
    stored = await served.get("/jobs")
    assert stored["count"] == (await served.get("/jobs/summary"))["total"]
    assert not any(math.isnan(job["progress"]) for job in stored["jobs"])


async def test_another_origins_page_cannot_change_anything(served: Served) -> None:
    """A form on a foreign page posts without asking first: its Origin gives it away. Our own page and programs may."""
    body = b'{"scenario":"480p30-h264"}'
    own = f"http://{served.client.base_url.netloc.decode()}"
    for headers, status in (
        ({"Origin": "https://evil.example", "Content-Type": "text/plain"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": f"[{'x' * 5000}]"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": own}, 201),
        ({}, 201),
    ):
        answer = await served.client.post("/jobs", content=body, headers=headers)
        assert (status, headers) == (answer.status_code, headers), answer.text
        assert len(answer.content) < 2000, "a header comes back, however long it is"
    assert 403 == (await served.client.get("/jobs", headers={"Host": "evil.example"})).status_code
    assert 2 == (await served.get("/jobs/summary"))["total"]


async def test_a_bottomless_body_is_a_clients_error(served: Served) -> None:
    """Nested beyond all measure: a 4xx, never a 500."""
    deep = b"[" * 200_000 + b"]" * 200_000
    for path, content in (("/jobs", deep), ("/jobs/batch", b'{"jobs":[' + deep + b"]}")):
        assert (await served.client.post(path, content=content)).status_code in (400, 422)


async def test_a_launch_name_that_no_database_stores_is_refused(served: Served) -> None:
    """A NUL in a name is a client's error on every store, and nothing of the batch is kept."""
    body = {"jobs": [{"scenario": "480p30-h264"}], "launch": {"name": "a\0b"}}
    answer = await served.client.post("/jobs/batch", json=body)
    assert (422, "launch.name") == (answer.status_code, answer.json()["field"])
    assert 0 == (await served.get("/jobs/summary"))["total"]


async def test_large_batches_take_turns(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many clients send one at once, a few are unpacked in memory at a time; all are accepted."""
    write = served.store.write
    under_way: list[int] = [0]
    most = 0

    async def slowly(work: Any, **how: Any) -> Any:
        nonlocal most
        under_way[0] += 1
        most = max(most, under_way[0])
        await asyncio.sleep(0.01)  # the others would come in meanwhile
        under_way[0] -= 1
        return await write(work, **how)

    monkeypatch.setattr(served.store, "write", slowly)
    batch = {"jobs": [{"scenario": "480p30-h264"}] * 50}
    answers = await asyncio.gather(*(served.client.post("/jobs/batch", json=batch) for _ in range(12)))

    assert [201] * 12 == [answer.status_code for answer in answers]
    assert 2 == most


async def test_a_batch_of_nothing_but_repeats_makes_no_launch(served: Served) -> None:
    """A client that sends its batch again hears of the launch that its jobs are in, and no empty one is left."""
    job = {"scenario": "480p30-h264", "idempotency_key": "k"}
    body = {"jobs": [job, {"scenario": "8K"}], "launch": {"name": "nightly"}}
    first = (await served.client.post("/jobs/batch", json=body)).json()
    again = (await served.client.post("/jobs/batch", json=body)).json()
    conflict = await served.client.post("/jobs/batch", json=body | {"jobs": [job | {"queue": "live"}]})
    more = (await served.client.post("/jobs/batch", json=body | {"jobs": [job, {"scenario": "480p30-h264"}]})).json()

    assert first["launch_id"] == again["launch_id"]
    assert (422, None) == (conflict.status_code, conflict.json()["launch_id"])
    launches = (await served.get("/launches"))["launches"]
    assert {first["launch_id"]: 1, more["launch_id"]: 1} == {found["id"]: found["total"] for found in launches}


async def test_a_launch_that_was_there_before_stays_when_a_batch_brings_nothing_new(served: Served) -> None:
    """Only what this batch made is taken back."""
    job = {"scenario": "480p30-h264", "idempotency_key": "k"}
    for _ in range(2):
        answer = await served.client.post("/jobs/batch", json={"jobs": [job], "launch": {"id": "L", "name": "nightly"}})
        assert "L" == answer.json()["launch_id"]

    assert ("nightly", 1) == ((launch := await served.get("/launches/L"))["name"], launch["total"])
