"""Why the jobs of a launch wait: a few reasons with counts, whatever number of jobs there is."""

from __future__ import annotations

import pytest

from reelmill.domain.explanation import LaunchExplanation
from reelmill.store import explain
from reelmill.store.nodes import set_draining
from reelmill.store.tenants import set_limit
from tests.farmhand import Farmhand
from tests.samples import NOW, failed, new_job, new_jobs, node_info

NODE = node_info("mill", units=4)
LAUNCH = "spring"


async def explained(farm: Farmhand) -> LaunchExplanation:
    return await farm.store.read(lambda tx: explain.explain_launch(tx, LAUNCH, NOW))


async def reasons(farm: Farmhand) -> list[tuple[int, bool, str]]:
    return [(wait.jobs, wait.blocked, wait.reason) for wait in (await explained(farm)).waiting]


async def test_the_blocked_and_the_patient_are_told_apart(farm: Farmhand) -> None:
    """Equal reasons are one, the first job speaks for those that wait for room, and other launches do not count."""
    await farm.beat(NODE)
    await farm.submit(*new_jobs(4))
    await farm.claim(NODE)
    await farm.submit(*new_jobs(2))
    unfit = [new_job(scenario, engine="gstreamer") for scenario in ("480p30-h264", "720p30-h264")]
    await farm.submit(*unfit, new_job(node_labels={"gpu": "yes"}), new_job(), new_job(queue="batch"), launch=LAUNCH)
    assert [
        (2, True, "no node has gstreamer with an encoder for h264"),
        (1, True, "no node has the label gpu=yes"),
        (2, False, "2 jobs before them; busy: 4 of 4 units, 1 needed"),
    ] == await reasons(farm)
    await farm.beat(node_info("other", units=2))
    assert (2, False, "2 jobs before them; busy: 4 of 6 units of 2 nodes") == (await reasons(farm))[-1]


async def test_without_an_open_node_all_are_blocked(farm: Farmhand) -> None:
    """No node, or one that drains, with what opens it."""
    await farm.submit(*new_jobs(3), launch=LAUNCH)
    assert [(3, True, "no node is online")] == await reasons(farm)
    await farm.beat(NODE)
    await farm.change(lambda tx, _: set_draining(tx, NODE.id, True))
    advice = "`reelmill nodes resume` lets one take jobs again (mill)"
    assert [(3, True, f"every node that can run them is draining; {advice}")] == await reasons(farm)


async def test_a_tenant_at_its_limit_and_a_retry_are_named(farm: Farmhand) -> None:
    """Those whose next try is not due are told of by themselves."""
    await farm.beat(NODE)
    await farm.change(lambda tx, _: set_limit(tx, "studio", 1))
    await farm.submit(*(new_job(tenant="studio") for _ in range(3)), launch=LAUNCH)
    key = await farm.run(NODE)
    await farm.report(failed(key, NODE))
    assert 1 == len(await farm.claim(NODE))
    [(*counted, retry), room] = await reasons(farm)
    limit = "tenant studio is at its limit: 1 of 1 job running"
    assert ((1, False, limit), [1, False]) == (room, counted)
    assert retry.startswith("waits for its retry at 2023-11-14 22:13:2")


async def test_of_very_many_only_the_first_are_looked_at(farm: Farmhand, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that is said; ended and running jobs are none that wait."""
    monkeypatch.setattr(explain, "MOST_AHEAD", 3)
    node = node_info("mill", units=1)
    await farm.beat(node)
    await farm.submit(*new_jobs(5), launch=LAUNCH)
    await farm.complete(node)
    found = await explained(farm)
    assert ([3], False) == ([wait.jobs for wait in found.waiting], found.is_all)
    await farm.run(node)
    await farm.submit(new_job(), launch="another")
    await farm.act((await farm.jobs())[-2].id, "cancel")
    found = await explained(farm)
    assert ([2], True) == ([wait.jobs for wait in found.waiting], found.is_all)
