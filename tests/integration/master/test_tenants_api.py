"""Tenants, node labels and blocked jobs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from reelmill.bus.words import BEAT, Beat
from tests.farmhand import Farmhand
from tests.samples import node_info
from tests.served import Served

NO_GSTREAMER = "no node of this farm can run it: it needs gstreamer with an encoder for h264"


async def join(served: Served, name: str = "mill", **fields: Any) -> None:
    """A node gives its first sign of life."""
    assert await BEAT.ask(served.bus, Beat(node_info(name, **fields), []), 5) is not None


async def test_a_limit_is_set_shown_and_taken_away(served: Served) -> None:
    """And a claim keeps to it; the answer says how many jobs are held."""
    assert {"tenants": [], "count": 0} == await served.get("/tenants")
    for _ in range(3):
        await served.submit(tenant="studio")

    answer = await served.client.put("/tenants/studio", json={"max_running": 2})
    shown = {"name": "studio", "max_running": 2, "held_jobs": 0, "max_queued": None, "waiting_jobs": 3}
    assert (200, shown) == (answer.status_code, answer.json())
    assert 2 == len(await Farmhand(served.store).claim(node_info()))
    assert [shown | {"held_jobs": 2, "waiting_jobs": 1}] == (await served.get("/tenants"))["tenants"]
    assert 3 == (await served.get("/jobs?tenant=studio"))["count"]

    answer = await served.client.put("/tenants/studio", json={"max_running": None})
    assert shown | {"max_running": None, "held_jobs": 2, "waiting_jobs": 1} == answer.json()
    answer = await served.client.put("/tenants/studio", json={"max_queued": 0})
    assert shown | {"max_running": None, "max_queued": 0, "held_jobs": 2, "waiting_jobs": 1} == answer.json()


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("studio", b'{"max_running": -1}', "max_running"),
        ("studio", b'{"max_running": 1000001}', "max_running"),
        ("studio", b'{"max_running": "two"}', "max_running"),
        ("studio", b'{"max_running": 1, "surprise": 1}', "surprise"),
        ("studio", b'{"max_queued": -1}', "max_queued"),
        ("studio", b'{"max_queued": 1000000001}', "max_queued"),
        ("studio", b"{}", "max_running"),
        ("-x", b'{"max_running": 1}', "tenant"),
        ("a%20b", b'{"max_running": 1}', "tenant"),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused(served: Served, name: str, body: bytes, field: str) -> None:
    """422 with the field, and nothing is changed."""
    answer = await served.client.put(f"/tenants/{name}", content=body)

    assert (422, "invalid_field", field) == (answer.status_code, answer.json()["code"], answer.json()["field"])
    assert 0 == (await served.get("/tenants"))["count"]


async def test_a_job_that_no_node_can_run_is_marked_wherever_it_is_looked_at(served: Served) -> None:
    """Until a node joins that can; the answer to the submission leaves it out, it has not looked."""
    job = await served.submit(engine="gstreamer")
    fit = await served.submit()
    assert "blocked" not in job
    assert "no node is online" == (await served.get(f"/jobs/{job['id']}"))["blocked"]

    await join(served)
    assert NO_GSTREAMER == (await served.get(f"/jobs/{job['id']}"))["blocked"]
    assert (await served.get(f"/jobs/{fit['id']}"))["blocked"] is None
    for query in ("", "?limit=10", "?fields=id,blocked", "?fields=blocked,node_labels,status&limit=10"):
        found = await served.get(f"/jobs{query}")
        assert [NO_GSTREAMER, None] == [one["blocked"] for one in found["jobs"]], query
    assert "blocked" not in (await served.get("/jobs?fields=id"))["jobs"][0]

    await join(served, "gst", engines={"gstreamer": ["h264"]})
    assert [None, None] == [one["blocked"] for one in (await served.get("/jobs"))["jobs"]]


async def test_the_live_page_shows_what_is_blocked_and_escapes_labels(served: Served) -> None:
    """Labels are what strangers wrote."""
    await served.submit(engine="gstreamer", node_labels={"site": "<b>"})
    await join(served, labels={"site": "<i>"})
    page = (await served.client.get("/")).text
    wanted = "it needs gstreamer with an encoder for h264 and the label site=&lt;b&gt;"
    assert f'<td title="no node of this farm can run it: {wanted}">blocked</td>' in page
    assert "site=&lt;i&gt;" in page
    assert "<i>" not in page


async def test_only_waiting_jobs_are_blocked(served: Served) -> None:
    """A job that has ended waits for nobody."""
    job = await served.submit(node_labels={"gpu": "yes"})
    await join(served)
    expected = "no node of this farm can run it: it needs the label gpu=yes"
    assert expected == (await served.get("/jobs"))["jobs"][0]["blocked"]
    assert expected == (await served.get(f"/jobs/{job['id']}/explain"))["summary"]
    await served.client.post(f"/jobs/{job['id']}/cancel")
    assert (await served.get("/jobs"))["jobs"][0]["blocked"] is None
    assert (await served.get(f"/jobs/{job['id']}"))["blocked"] is None


async def test_labels_of_nodes_and_needs_of_jobs_are_shown(served: Served) -> None:
    """As they were given."""
    await join(served, labels={"gpu": "yes"})
    job = await served.submit(node_labels={"gpu": "yes"}, tenant="studio")
    assert {"gpu": "yes"} == (await served.get("/nodes/mill"))["capabilities"]["labels"]
    assert ({"gpu": "yes"}, "studio") == (job["node_labels"], job["tenant"])
    assert job | {"blocked": None} == (await served.get("/jobs"))["jobs"][0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": 1}, "tenant"),
        ({"node_labels": {"": "x"}}, "node_labels"),
        ({"node_labels": {"gpu": 1}}, "node_labels"),
    ],
)
async def test_a_tenant_or_label_that_makes_no_sense_is_refused(
    served: Served, body: dict[str, object], field: str
) -> None:
    """422 with the field."""
    answer = await served.client.post("/jobs", json={"scenario": "480p30-h264", **body})
    assert 422 == answer.status_code
    assert answer.json()["field"].startswith(field)


async def test_explain_says_it_over_http(served: Served) -> None:
    """A tenant at its limit, and each node with its reason."""
    await served.client.put("/tenants/studio", json={"max_running": 0})
    await join(served)
    await join(served, "av1", engines={"ffmpeg": ["av1"]})
    job = await served.submit(tenant="studio")
    found = await served.get(f"/jobs/{job['id']}/explain")
    limit = "tenant studio is at its limit: 0 of 0 jobs running"
    assert limit == found["summary"]
    assert {"mill": limit, "av1": "needs an encoder for h264"} == {
        node["node_name"]: node["reason"] for node in found["nodes"]
    }
