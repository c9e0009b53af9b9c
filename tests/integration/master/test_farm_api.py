"""Launches, nodes, scenarios, health, metrics, the description of the API, and the live page."""

from __future__ import annotations

import re
import time
from datetime import datetime

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from reelmill import __version__
from reelmill.bus.memory import MemoryBus
from reelmill.bus.words import BEAT, GOODBYE, REPORT, Beat
from reelmill.clock import SystemClock
from reelmill.domain.attempt import AttemptKey
from reelmill.domain.failure import Failure
from reelmill.domain.scenario import CATALOGUE, LADDERS, use_scenarios
from reelmill.errors import SettingsError, StoreUnavailable
from reelmill.master import reaper
from reelmill.master.master import Master
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import failed, new_job, new_jobs, node_info, published, settled, started
from tests.served import MakeSettings, Served
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)
EVIL = "<script>alert(1)</script>"


async def test_a_launch_is_counted_timed_and_canceled(served: Served) -> None:
    """From its first job to its last."""
    body = {"jobs": [{"scenario": "480p30-h264"}] * 5, "launch": {"id": "L-1", "name": "first"}}
    assert "L-1" == (await served.client.post("/jobs/batch", json=body)).json()["launch_id"]
    await Farmhand(served.store).complete(node_info(units=1))

    launch = await served.get("/launches/L-1")
    assert ("first", 5, 4, {"queued": 4, "completed": 1}) == (
        *(launch["name"], launch["total"], launch["open"], launch["counts"]),
    )
    assert [launch] == (await served.get("/launches"))["launches"]
    timings = await served.get("/launches/L-1/timings")
    assert 2.0 == timings["timings"]["speed"]["p50"]
    answer = await served.client.post("/launches/L-1/cancel")
    assert {"launch_id": "L-1", "canceled": 4} == answer.json()
    assert 0 == (await served.get("/launches/L-1"))["open"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/launches/none"), ("GET", "/launches/none/timings"), ("POST", "/launches/none/cancel")),
        *(("GET", "/nodes/none"), ("POST", "/nodes/none/drain"), ("POST", "/nodes/none/resume")),
        *(("DELETE", "/nodes/none"), ("GET", "/scenarios/8K"), ("GET", "/nothing"), ("POST", "/nothing/at/all")),
    ],
)
async def test_what_is_not_there_is_a_404(served: Served, method: str, path: str) -> None:
    """As a problem document."""
    answer = await served.client.request(method, path)

    assert (404, "not_found") == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/jobs"), ("PUT", "/jobs/1"), ("POST", "/health"), ("PATCH", "/nodes")]
)
async def test_a_method_that_is_not_there_is_a_405(served: Served, method: str, path: str) -> None:
    """As a problem document."""
    answer = await served.client.request(method, path)

    assert (405, "method_not_allowed") == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["content-type"]


async def test_a_node_is_drained_resumed_and_forgotten(served: Served) -> None:
    """By id or by name."""
    node = node_info("mill-7")
    assert await BEAT.ask(served.bus, Beat(node, []), 5) is not None

    listed = await served.get("/nodes")
    assert (1, "mill-7", "online", 8) == (
        *(listed["count"], listed["nodes"][0]["name"], listed["nodes"][0]["status"]),
        listed["nodes"][0]["capabilities"]["units"],
    )
    assert "draining" == (await served.client.post("/nodes/mill-7/drain")).json()["status"]
    assert "draining" == (await served.get(f"/nodes/{node.id}"))["status"]
    assert "online" == (await served.client.post(f"/nodes/{node.id}/resume")).json()["status"]
    assert 204 == (await served.client.delete("/nodes/mill-7")).status_code
    assert 404 == (await served.client.delete("/nodes/mill-7")).status_code


async def test_a_name_that_two_nodes_have_is_refused_with_their_ids(served: Served) -> None:
    """And when each was last heard of: the other one must not be drained; one that is there wins over one that left."""
    one, other = (msgspec.structs.replace(node_info("twin"), id=f"id-{n}") for n in range(2))
    for node in (one, other):
        assert await BEAT.ask(served.bus, Beat(node, []), 5) is not None
    seen = [
        f"{node['id']} (last heard of at {datetime.fromisoformat(node['last_seen']):%Y-%m-%d %H:%M:%S} UTC)"
        for node in (await served.get("/nodes"))["nodes"]
    ]

    for method, path in (("GET", "/nodes/twin"), ("POST", "/nodes/twin/drain"), ("DELETE", "/nodes/twin")):
        answer = await served.client.request(method, path)
        assert (409, "conflict") == (answer.status_code, answer.json()["code"])
        said, *ids = answer.json()["detail"].replace(", ", ": ").split(": ")
        assert "2 nodes are called 'twin'; say which by its id" == said
        assert sorted(seen) == sorted(ids)
    assert {"online"} == {node["status"] for node in (await served.get("/nodes"))["nodes"]}
    assert "draining" == (await served.client.post(f"/nodes/{one.id}/drain")).json()["status"]
    await GOODBYE.ask(served.bus, one.id, 5)
    assert other.id == (await served.get("/nodes/twin"))["id"]


async def test_a_worker_that_ends_is_stopping(served: Served) -> None:
    """From its own words, whichever comes late; a user cannot let it take jobs again, and is told what helps."""
    node = node_info("mill-7")
    for stopping, status in ((False, "online"), (True, "stopping"), (False, "stopping")):
        await BEAT.ask(served.bus, Beat(msgspec.structs.replace(node, stopping=stopping), []), 5)
        assert status == (await served.get("/nodes/mill-7"))["status"]
    refused = await served.client.post("/nodes/mill-7/resume")
    assert (409, "the worker of mill-7 ends; start it again") == (refused.status_code, refused.json()["detail"])
    assert "stopping" == (await served.client.post("/nodes/mill-7/drain")).json()["status"]


async def test_a_node_in_trouble_says_so(served: Served) -> None:
    """In the list and on the live page, until its next beat says otherwise."""
    node = node_info("mill-8")
    for trouble in (None, "its disk is full", None):
        await BEAT.ask(served.bus, Beat(msgspec.structs.replace(node, trouble=trouble), []), 5)
        [seen] = (await served.get("/nodes"))["nodes"]
        assert ("online", trouble) == (seen["status"], seen["trouble"])
        page = (await served.client.get("/", headers={"Accept": "text/html"})).text
        assert (trouble is not None) == ("takes no jobs: its disk is full" in page)


async def test_the_catalogue_is_shown(served: Served) -> None:
    """All of it, and one in any spelling."""
    listed = await served.get("/scenarios")

    assert [*CATALOGUE, *LADDERS, "thumbnails"] == [scenario["name"] for scenario in listed["scenarios"]]
    assert 23 == listed["count"]
    assert "4K60-h264" == (await served.get("/scenarios/2160P60-H264"))["name"]


async def test_scenarios_of_the_settings_are_shown_with_their_source(
    make_settings: MakeSettings, store: SqliteStore
) -> None:
    """Behind the built-in ones; what is wrong with one is said before anything starts."""
    mine = {"mine": {"extends": "720p30-h264", "rate": {"mode": "crf", "crf": 20}}}
    bus = MemoryBus()
    master = Master(make_settings(scenarios=mine), store, bus, SystemClock(), alone=False)
    await master.start()
    async with httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
        listed = (await client.get("/scenarios")).json()
        refused = await client.post("/jobs", json={"scenario": "mine", "parameters": {"bitrate": "3M"}})
    await master.stop()
    await bus.stop()
    use_scenarios({})
    assert (24, "mine", "settings") == (listed["count"], *(listed["scenarios"][-1][key] for key in ("name", "source")))
    assert {"built-in"} == {one["source"] for one in listed["scenarios"][:-1]}
    assert (422, "parameters.bitrate") == (refused.status_code, refused.json()["field"])
    with pytest.raises(SettingsError, match=r"scenarios\.mine\.extends: goes in a circle"):
        make_settings(scenarios={"mine": {"extends": "mine"}})


async def test_health_says_healthy_and_what_is_there(served: Served) -> None:
    """The words that older clients look for, and which farm it is: whoever asks, and as long as it lives."""
    await served.submit()
    health = await served.get("/health")
    assert health["farm_id"] == (await served.get("/health"))["farm_id"] != ""

    assert ("healthy", [], __version__, {"queued": 1}) == (
        *(health["status"], health["reasons"], health["version"], health["jobs"]),
    )
    for path in ("/livez", "/readyz"):
        assert "ok\n" == (await served.client.get(path)).text


async def test_one_request_after_another_is_answered_at_once(served: Served) -> None:
    """No answer waits for a delayed ACK: without TCP_NODELAY each would take 40 ms."""
    began = time.perf_counter()
    for _ in range(100):
        await served.client.get("/livez")

    assert time.perf_counter() - began < 3.0


async def test_health_says_why_not(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the reasons when the store does not answer, or has failed for good; and alive all the same."""

    async def refuse(_work: object, **_how: object) -> None:
        raise StoreUnavailable("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(served.store, "read", refuse)
        answer = await served.client.get("/health")
        assert (503, "unhealthy", ["the disk is gone"]) == (
            *(answer.status_code, answer.json()["status"], answer.json()["reasons"]),
        )
        assert 503 == (await served.client.get("/readyz")).status_code
        assert 200 == (await served.client.get("/livez")).status_code
        for path in ("/jobs?limit=1", "/jobs/summary", "/jobs/1", "/nodes", "/launches", "/metrics"):
            refused = await served.client.get(path)
            assert (503, "store_unavailable") == (refused.status_code, refused.json()["code"]), path
            assert "retry-after" in refused.headers
    served.store.failed.set_result("a write failed")
    answer = await served.client.get("/health")
    assert (503, ["a write failed"]) == (answer.status_code, answer.json()["reasons"])


async def test_a_service_that_goes_on_failing_is_told(
    make_settings: MakeSettings, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store can be read but not written, so the reaper fails: 503 with the reason, until a round succeeds."""
    monkeypatch.setattr(reaper, "SWEEP_SECONDS", 0.01)
    master = Master(make_settings(), store, MemoryBus(), SystemClock(), alone=True)
    await master.start()

    async def refuse(_work: object, **_how: object) -> None:
        raise StoreUnavailable("the disk is full")

    async with httpx2.AsyncClient(base_url=master.url, timeout=30) as client:
        told = re.compile(r"Reaper failed \d+ rounds in a row: the disk is full")
        with monkeypatch.context() as patch:
            patch.setattr(store, "write", refuse)
            answer = await wait_until(lambda: client.get("/health"), lambda answer: answer.status_code == 503)
            [reason] = answer.json()["reasons"]
            assert told.fullmatch(reason), reason
            ready = await client.get("/readyz")
            assert 503 == ready.status_code
            assert told.fullmatch(ready.text.strip()), ready.text
        await wait_until(lambda: client.get("/health"), lambda answer: answer.status_code == 200)
        assert 200 == (await client.get("/readyz")).status_code
    await master.stop()


async def metrics(served: Served) -> dict[str, float]:
    """Every sample of /metrics by name and labels, read by Prometheus' own parser."""
    answer = await served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(f",{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_metrics_say_what_happened_and_count_stale_reports(served: Served) -> None:
    """Accepted, granted and dropped: a late or doubled worker shows."""
    await served.submit()
    node = node_info()
    key = await Farmhand(served.store).claim_one(node)
    late = AttemptKey(key.job_id, 99)
    said = [started(key, node), settled(late, node), failed(late, node), settled(key, node), published(key, node)]
    assert [True, False, False, True, True] == await REPORT.ask(served.bus, said, 5)
    await BEAT.ask(served.bus, Beat(node, []), 5)

    seen = await metrics(served)

    assert (1, 1, 3, 2) == (
        *(seen["reelmill_up"], seen["reelmill_jobs_submitted_total"]),
        *(seen["reelmill_reports_total"], seen["reelmill_stale_reports_total"]),
    )
    assert (1, 0) == (seen["reelmill_jobs_by_status,completed"], seen["reelmill_jobs_by_status,queued"])
    assert 1 == seen["reelmill_jobs,medium,default,480p30-h264,completed"]
    assert 1 == seen["reelmill_nodes,online"]
    assert 1 == seen[f"reelmill_build_info,{__version__}"]


async def test_the_api_describes_itself(served: Served) -> None:
    """OpenAPI 3.1 with every path that is served, each with a sentence."""
    described = await served.get("/openapi.json")

    assert described["openapi"].startswith("3.1")
    job = "/jobs/{reference}"
    expected = {
        *("/jobs", "/jobs/batch", "/jobs/summary", job, f"{job}/history", f"{job}/logs"),
        *(f"{job}/{action}" for action in ("cancel", "pause", "resume", "retry")),
        *("/launches", "/launches/{launch_id}", "/launches/{launch_id}/timings", "/launches/{launch_id}/cancel"),
        *("/nodes", "/nodes/{node_id}", "/nodes/{node_id}/drain", "/nodes/{node_id}/resume"),
        *("/scenarios", "/scenarios/{name}", "/health", "/livez", "/readyz", "/metrics"),
    }
    assert expected <= set(described["paths"])
    for path, item in described["paths"].items():
        for method, operation in item.items():
            assert operation.get("description") or operation.get("summary"), (method, path)
            assert operation["responses"], (method, path)
    assert "requestBody" in described["paths"]["/jobs"]["post"]
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', httpx2.Response(200, json=described).text))
    assert references <= set(described["components"]["schemas"])


async def test_the_live_page_is_shown_without_any_job(served: Served) -> None:
    """And says what to do first."""
    answer = await served.client.get("/")

    assert (200, "text/html") == (answer.status_code, answer.headers["content-type"].split(";")[0])
    assert "No jobs yet" in answer.text
    assert "No node yet" in answer.text


async def test_the_live_page_shows_jobs_and_escapes_what_strangers_wrote(served: Served) -> None:
    """Names of nodes and launches, labels and errors are text and nothing else."""
    farm = Farmhand(served.store)
    node = node_info(EVIL)
    await farm.beat(node)
    body = {"jobs": [{"scenario": "480p30-h264", "labels": {"team": EVIL}}] * 3, "launch": {"name": EVIL}}
    await served.client.post("/jobs/batch", json=body)
    await farm.complete(node_info(EVIL, units=1))
    key = await farm.run(node_info(EVIL, units=1))
    failure = Failure("input_error", EVIL, EVIL)
    await farm.report(failed(key, node, failure))
    await farm.run(node_info(EVIL, units=1))

    page = (await served.client.get("/")).text

    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for word in ("completed", "failed", "running", "480p30-h264"):
        assert word in page


async def test_the_live_page_stays_small_however_many_jobs_there_are(served: Served) -> None:
    """It shows the latest, not all."""
    await Farmhand(served.store).submit(*new_jobs(2000), new_job("4K60-h265"))
    page = (await served.client.get("/")).text

    assert "4K60-h265" in page
    assert len(page) < 40_000
