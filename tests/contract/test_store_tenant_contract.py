"""Tenants and node labels: whose jobs run, how many of them at once, and where."""

from __future__ import annotations

import pytest

from reelmill.domain.tenant import Tenant
from reelmill.errors import Conflict
from reelmill.store.submit import Accepted
from reelmill.store.tenants import get_tenant, list_tenants, set_limit
from tests.farmhand import Farmhand
from tests.samples import LEASE, failed, keys, new_job, node_info, published, settled, started

NODE = node_info("mill", units=8)


async def limit(farm: Farmhand, name: str, max_running: int | None) -> None:
    """Set, or take away, the limit of a tenant."""
    await farm.change(lambda tx, _: set_limit(tx, name, max_running))


async def test_a_claim_never_exceeds_a_limit(farm: Farmhand) -> None:
    """However much room there is, on one node or on many."""
    await limit(farm, "studio", 3)
    await farm.submit(*(new_job(tenant="studio") for _ in range(20)))

    assert 2 == len(await farm.claim(NODE, 2))
    assert 1 == len(await farm.claim(node_info("other")))
    assert [] == await farm.claim(node_info("third"))


async def test_others_go_on_in_strict_order(farm: Farmhand) -> None:
    """A tenant at its limit holds nobody up, though its jobs come first; its own order stays."""
    await limit(farm, "studio", 2)
    first = await farm.submit(*(new_job(tenant="studio", queue="live") for _ in range(5)))
    others = await farm.submit(*(new_job(tenant=f"t{n % 3}") for n in range(6)))

    given = [grant.key.job_id for grant in await farm.claim(NODE)]

    assert [job.id for job in first[:2] + others] == given


@pytest.mark.parametrize("how", ["completed", "failed", "lost", "canceled", "goodbye"])
async def test_a_job_that_ends_makes_room_for_the_next(farm: Farmhand, how: str) -> None:
    """However it ends, another job of its tenant is given, and no more than one."""
    await limit(farm, "studio", 1)
    [job, *_] = await farm.submit(*(new_job(tenant="studio") for _ in range(3)))
    await farm.beat(NODE)
    key = await farm.run(NODE)
    other = node_info("other")
    assert [] == await farm.claim(other)
    after = 0.0
    if how == "completed":
        assert [True] == await farm.report(settled(key, NODE))
        assert [] == await farm.claim(other), "it is held until its output is in its place"
        assert [True] == await farm.report(published(key, NODE))
    elif how == "failed":
        await farm.report(failed(key, NODE))
    elif how == "lost":
        assert 1 == await farm.sweep(after := LEASE + 1)
    elif how == "goodbye":
        await farm.goodbye(NODE)
    else:
        await farm.act(job.id, "cancel")

    assert 1 == len(await farm.claim(other, after=after))
    assert [] == await farm.claim(node_info("third"), after=after)


async def test_a_paused_job_on_a_node_counts(farm: Farmhand) -> None:
    """Its engine is still there; given back to the queue it counts no more."""
    await limit(farm, "studio", 1)
    await farm.submit(*(new_job(tenant="studio") for _ in range(2)))
    key = await farm.run(node_info("mill", units=1))
    await farm.act(key.job_id, "pause")

    assert [] == await farm.claim(node_info("other"))


async def test_a_limit_may_be_raised_lowered_and_taken_away(farm: Farmhand) -> None:
    """A lowered one stops nothing that runs; a limit of 0 lets nothing begin."""
    await limit(farm, "studio", 0)
    await farm.submit(*(new_job(tenant="studio") for _ in range(9)))
    assert [] == await farm.claim(NODE)
    await limit(farm, "studio", 3)
    assert 3 == len(await farm.claim(NODE))
    await limit(farm, "studio", 1)
    assert [] == await farm.claim(NODE)
    assert Tenant(name="studio", max_running=1, held_jobs=3, waiting_jobs=6) == await farm.store.read(
        lambda tx: get_tenant(tx, "studio")
    )
    await limit(farm, "studio", None)
    assert 6 == len(await farm.claim(NODE))


async def test_tenants_are_listed_with_limit_and_held_jobs(farm: Farmhand) -> None:
    """Those that sent a job, and those that have a limit, by name."""
    assert [] == await farm.store.read(list_tenants)
    await limit(farm, "idle", 5)
    await farm.submit(new_job(), new_job(), new_job(tenant="studio"))
    assert 2 == len(await farm.claim(NODE, 2))

    expected = [("default", None, 2), ("idle", 5, 0), ("studio", None, 0)]
    found = await farm.store.read(list_tenants)
    assert expected == [(tenant.name, tenant.max_running, tenant.held_jobs) for tenant in found]
    assert Tenant(name="nobody", max_running=None, held_jobs=0) == await farm.store.read(
        lambda tx: get_tenant(tx, "nobody")
    )


async def test_a_key_belongs_to_a_tenant(farm: Farmhand) -> None:
    """Two tenants may use the same idempotency key, also in one batch; each gets its own job again."""
    one, other = new_job(tenant="a", idempotency_key="k"), new_job(tenant="b", idempotency_key="k")
    first = await farm.submit(one, other)
    assert 2 == len({job.id for job in first})

    again = await farm.offer_jobs(
        new_job(tenant="b", idempotency_key="k"),
        new_job(tenant="a", idempotency_key="k"),
        new_job("1080p30-h264", tenant="a", idempotency_key="k"),
        new_job(tenant="c", idempotency_key="k"),
    )
    assert isinstance(again[2], Conflict)
    assert [(first[1].id, False), (first[0].id, False)] == [
        (answer.job.id, answer.created) for answer in again[:2] if isinstance(answer, Accepted)
    ]
    assert isinstance(again[3], Accepted)
    assert again[3].created


async def test_a_job_runs_only_where_its_labels_are(farm: Farmhand) -> None:
    """A node without them is not held up by hundreds of such jobs; one with all of them takes them in order."""
    picky = await farm.submit(*(new_job(queue="live", node_labels={"gpu": "yes", "site": "ber"}) for _ in range(300)))
    [plain] = await farm.submit(new_job())

    assert [] == await farm.claim(node_info("half", engines={"ffmpeg": ["av1"]}, labels={"gpu": "yes", "site": "ber"}))
    given = await farm.claim(node_info("wrong", labels={"gpu": "yes", "site": "par"}))
    assert [plain.id] == [grant.key.job_id for grant in given]
    given = await farm.claim(node_info("right", labels={"site": "ber", "gpu": "yes", "rack": "7"}))
    assert [job.id for job in picky[:8]] == [grant.key.job_id for grant in given]
    assert {"gpu": "yes", "site": "ber"} == (await farm.job(picky[0].id)).node_labels


async def test_a_started_job_of_a_tenant_keeps_its_tenant(farm: Farmhand) -> None:
    """What a job was submitted with is what every answer says."""
    await farm.submit(new_job(tenant="studio"))
    [key] = keys(await farm.claim(NODE))
    await farm.report(started(key, NODE), settled(key, NODE), published(key, NODE))
    assert ("studio", "completed") == ((await farm.job(key.job_id)).tenant, (await farm.job(key.job_id)).status)
