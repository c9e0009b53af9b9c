"""A queue and a tenant take so many waiting jobs and no more; what is refused leaves no trace."""

from __future__ import annotations

import pytest

from reelmill.domain.job import NewJob
from reelmill.errors import Conflict, Full
from reelmill.store.protocol import Tx
from reelmill.store.room import drain_rate
from reelmill.store.schema import metadata
from reelmill.store.submit import Accepted, judge_jobs
from reelmill.store.tenants import list_tenants, set_limit
from tests.farmhand import Farmhand
from tests.samples import NOW, failed, new_job, new_jobs, node_info

NODE = node_info(units=4)


async def offer(farm: Farmhand, *jobs: NewJob, most: int | None = 5) -> list[str | bool]:
    """Whether each is new, or the code of its refusal; ``most`` may wait in a queue."""
    answers = await farm.offer_jobs(*jobs, max_queued=most)
    return [answer.created if isinstance(answer, Accepted) else answer.code for answer in answers]


async def refusal(farm: Farmhand, *jobs: NewJob, most: int | None = 5, launch: str | None = None) -> Full:
    """Why the batch is refused."""
    with pytest.raises(Full) as caught:
        await farm.offer_jobs(*jobs, max_queued=most, together=True, launch=launch)
    return caught.value


async def test_a_full_queue_takes_the_first_jobs_and_no_more(farm: Farmhand) -> None:
    """One by one, in their order; other queues are not touched, and room that comes back is given again."""
    assert [True] * 5 + ["queue_full"] * 2 == await offer(farm, *new_jobs(7))
    assert ["queue_full", True] == await offer(farm, new_job(), new_job(queue="batch"))

    assert 3 == len(await farm.claim(NODE, 3))
    assert [True] * 3 + ["queue_full"] == await offer(farm, *new_jobs(4))


async def test_single_jobs_that_are_refused_leave_nothing_behind(farm: Farmhand) -> None:
    """Neither a full queue nor a full tenant keeps a row of them, however new their kinds are: not even a lane."""
    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=0))
    await farm.submit(new_job(queue="batch"))
    before = await content(farm)

    kinds = [new_job(scenario, node_labels={"gpu": "yes"}) for scenario in ("480p30-h264", "1080p30-h265")]
    assert ["queue_full"] * 2 == await offer(farm, *kinds, most=0)
    assert ["tenant_full"] == await offer(farm, new_job(tenant="studio"))
    assert before == await content(farm)


async def content(farm: Farmhand) -> dict[str, list[str]]:
    """Every row of every table."""

    def read(tx: Tx) -> dict[str, list[str]]:
        return {table.name: sorted(map(str, tx.execute(table.select()))) for table in metadata.sorted_tables}

    return await farm.store.read(read)


async def test_a_batch_that_does_not_fit_is_refused_whole(farm: Farmhand) -> None:
    """Nothing of it is stored, not even its launch; the sentence names the queue, how many wait and the limit."""
    await farm.submit(*new_jobs(3))
    full = await refusal(farm, *new_jobs(3), launch="spring")

    assert ("queue_full", "queue", "default") == (full.code, full.kind, full.name)
    assert (3, 5, 3) == (full.waiting, full.limit, full.asked)
    assert "queue 'default' has no room for these 3 new jobs: 3 of at most 5 jobs wait in it" in str(full)
    assert 3 == len(await farm.jobs())
    assert 2 == len(await farm.offer_jobs(*new_jobs(2), max_queued=5, together=True))
    assert 5 == len(await farm.jobs())


async def test_a_batch_that_can_never_fit_says_so(farm: Farmhand) -> None:
    """To send it again would be in vain."""
    full = await refusal(farm, *new_jobs(6))
    assert "these 6 new jobs can never fit into queue 'default', in which at most 5 may wait" in str(full)


async def test_a_repeat_of_what_was_accepted_succeeds_when_all_is_full(farm: Farmhand) -> None:
    """That is what makes a client's retries exact; only what is new needs room."""
    jobs = [new_job(idempotency_key=f"k{n}") for n in range(5)]
    first = await farm.offer_jobs(*jobs, max_queued=5, together=True)
    again = await farm.offer_jobs(*(new_job(idempotency_key=f"k{n}") for n in range(5)), max_queued=5, together=True)

    assert [True] * 5 + [False] * 5 == [answer.created for answer in (*first, *again) if isinstance(answer, Accepted)]
    full = await refusal(farm, new_job(idempotency_key="k0"), new_job(idempotency_key="new"))
    assert 1 == full.asked
    assert ["queue_full"] * 2 == await offer(farm, *(new_job(idempotency_key="new") for _ in range(2)))


@pytest.mark.parametrize("status", ["paused", "retrying"])
async def test_what_waits_in_another_way_takes_room_too(farm: Farmhand, status: str) -> None:
    """It comes back to the queue by itself or at a word; what runs or has ended does not count."""
    [job] = await farm.submit(new_job())
    if status == "paused":
        await farm.act(job.id, "pause")
    else:
        await farm.report(failed(await farm.run(NODE), NODE))
    assert status == (await farm.job(job.id)).status
    assert [True] * 4 + ["queue_full"] == await offer(farm, *new_jobs(5))
    await farm.act(job.id, "cancel")
    assert [True, "queue_full"] == await offer(farm, *new_jobs(2))


async def test_a_tenant_has_a_limit_of_its_own(farm: Farmhand) -> None:
    """Over all queues together; others are not touched, and both limits hold."""
    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=2))
    studio = [new_job(tenant="studio", queue=queue) for queue in ("live", "default", "batch")]

    full = await refusal(farm, *studio, most=None)
    assert ("tenant_full", "tenant", "studio", 0, 2, 3) == (
        *(full.code, full.kind, full.name),
        *(full.waiting, full.limit, full.asked),
    )
    assert [True, True, "tenant_full"] == await offer(farm, *studio, most=None)
    assert [True] * 4 + ["queue_full"] == await offer(farm, *new_jobs(5))
    [tenant] = [tenant for tenant in await farm.store.read(list_tenants) if tenant.name == "studio"]
    assert (None, 2, 2) == (tenant.max_running, tenant.max_queued, tenant.waiting_jobs)


async def test_limits_of_a_tenant_are_set_and_taken_away_one_by_one(farm: Farmhand) -> None:
    """The one that is not named stays as it is; a tenant without any is as if never heard of."""

    async def limits() -> list[tuple[str, int | None, int | None]]:
        found = await farm.store.read(list_tenants)
        return [(tenant.name, tenant.max_running, tenant.max_queued) for tenant in found]

    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=0))
    assert ["tenant_full"] == await offer(farm, new_job(tenant="studio"), most=None)
    await farm.change(lambda tx, _: set_limit(tx, "studio", 7))
    assert [("studio", 7, 0)] == await limits()
    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=None))
    assert [("studio", 7, None)] == await limits()
    assert [True] == await offer(farm, new_job(tenant="studio"), most=None)
    await farm.change(lambda tx, _: set_limit(tx, "studio", None))
    assert [("studio", None, None)] == await limits()


async def test_a_limit_of_what_waits_is_none_of_what_runs(farm: Farmhand) -> None:
    """A claim gives such a tenant's jobs as freely as any other's."""
    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=4))
    await farm.submit(*(new_job(tenant="studio") for _ in range(4)))
    assert 4 == len(await farm.claim(NODE))


async def test_jobs_are_judged_without_being_stored(farm: Farmhand) -> None:
    """As a submission would: repeats, conflicts, room; afterwards the store is as it was."""
    await farm.submit(new_job(idempotency_key="known"))
    await farm.change(lambda tx, _: set_limit(tx, "studio", max_queued=1))
    asked = [
        *(new_job(tenant="studio") for _ in range(2)),
        new_job(idempotency_key="known"),
        new_job(idempotency_key="known", priority="high"),
        new_job(idempotency_key="new"),
        new_job(idempotency_key="new", priority="high"),
    ]

    found = await farm.store.read(lambda tx: judge_jobs(tx, asked, 3))

    assert [None, None, None, "idempotency_key_reused", None, "idempotency_key_reused"] == [
        answer.code if isinstance(answer, Conflict) else answer for answer in found.answers
    ]
    assert {("queue", "default"): 2, ("tenant", "studio"): 1} == {tuple(place): n for place, n in found.room.items()}
    assert [("queue", 3), ("tenant", 2)] == sorted((full.kind, full.asked) for full in found.lacks)
    assert 1 == len(await farm.jobs())


async def test_the_pace_of_a_queue_is_what_ended_lately(farm: Farmhand) -> None:
    """Of its own jobs, whoever ran them; what ended earlier tells nothing."""
    done = await farm.submit(*(new_job(queue=queue) for queue in ("live", "live", "batch", "live")))
    for job, after in zip(done, (1.0, 25.0, 26.0, 29.0), strict=True):
        await farm.act(job.id, "cancel", after=after)

    assert 2 / 20 == await farm.store.read(lambda tx: drain_rate(tx, "queue", "live", NOW + 30, 20.0))
    assert 3 / 20 == await farm.store.read(lambda tx: drain_rate(tx, "tenant", "default", NOW + 30, 20.0))
    assert 0 == await farm.store.read(lambda tx: drain_rate(tx, "queue", "default", NOW + 30, 20.0))
