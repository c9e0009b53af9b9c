"""Which job a node is given: strict order, needs, room, reserves (P10)."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest

from reelmill.domain.job import PRIORITIES, QUEUES
from reelmill.store.claim import PATIENCE_SECONDS, claim_each
from reelmill.store.nodes import set_draining
from tests.farmhand import Farmhand
from tests.samples import failed, new_job, new_jobs, node_info, offer

BIG = "4K60-h264"  # 8 units
SMALL = "480p30-h264"  # 1 unit
PATIENT = PATIENCE_SECONDS + 1


@pytest.mark.parametrize("seed", range(3))
async def test_jobs_run_by_queue_then_priority_then_arrival(farm: Farmhand, seed: int) -> None:
    """All nine classes, two needs, submitted in any order: given strictly live, default, batch; high, medium, low."""
    classes = list(itertools.product(QUEUES, PRIORITIES, ("auto", "ffmpeg"))) * 3
    random.Random(seed).shuffle(classes)
    jobs = await farm.submit(
        *(new_job(queue=queue, priority=priority, engine=engine) for queue, priority, engine in classes)
    )
    ranks = {(q, p): rank for rank, (q, p) in enumerate(itertools.product(QUEUES, PRIORITIES))}
    expected = [job.id for job in sorted(jobs, key=lambda job: (ranks[job.queue, job.priority], job.sequence_number))]

    given: list[str] = []
    while grants := await farm.claim(node_info(units=8), 4):
        given += [grant.key.job_id for grant in grants]

    assert expected == given


async def test_one_claim_is_in_order_across_lanes(farm: Farmhand) -> None:
    """Jobs of different needs are merged into one order, not one lane after the other."""
    names = ["480p30-h264", "480p30-av1", "480p60-h264", "480p30-h265"]
    jobs = await farm.submit(*(new_job(name) for name in names * 3))

    grants = await farm.claim(node_info(units=64), 64)

    assert [job.id for job in jobs] == [grant.key.job_id for grant in grants]


async def test_a_grant_is_a_lease_on_a_new_attempt(farm: Farmhand) -> None:
    """The job says who has it, until when, and by which token."""
    [job] = await farm.submit(new_job(BIG, engine="ffmpeg"))
    node = node_info(units=16)

    [grant] = await farm.claim(node, after=7)
    after = await farm.job(job.id)

    assert (1, "ffmpeg", 8, 30.0) == (grant.key.attempt, grant.engine, grant.units, grant.lease_seconds)
    assert job.parameters == grant.parameters
    assert ("assigned", 1, node.id, node.name) == (after.status, after.attempt, after.node_id, after.node_name)
    assert after.assigned_at is not None
    assert after.lease_until == after.assigned_at + 30


async def test_no_job_is_given_twice(farm: Farmhand) -> None:
    """What one node has, no other gets."""
    jobs = await farm.submit(*new_jobs(10))
    given = [await farm.claim(node_info(f"mill-{n}"), 3) for n in range(5)]

    assert sorted(job.id for job in jobs) == sorted(grant.key.job_id for grants in given for grant in grants)


async def test_jobs_that_a_node_cannot_run_never_block_it(farm: Farmhand) -> None:
    """Hundreds of jobs ahead that need another engine or codec: the node gets the first one that it can run."""
    await farm.submit(*(new_job(SMALL, queue="live", priority="high", engine="gstreamer") for _ in range(300)))
    await farm.submit(*(new_job("480p30-av1", queue="live", priority="high") for _ in range(300)))
    [fit] = await farm.submit(new_job(SMALL, queue="batch", priority="low"))
    node = node_info(engines={"ffmpeg": ["h264"]})

    assert [fit.id] == [grant.key.job_id for grant in await farm.claim(node)]
    assert [] == await farm.claim(node)


async def test_a_named_engine_gets_the_job_where_it_is(farm: Farmhand) -> None:
    """The node with gstreamer takes what only it can run, with that engine."""
    [job] = await farm.submit(new_job(SMALL, engine="gstreamer"))

    assert [] == await farm.claim(node_info("plain"))
    [grant] = await farm.claim(node_info("gst", engines={"gstreamer": ["h264"]}))

    assert (job.id, "gstreamer") == (grant.key.job_id, grant.engine)


async def test_what_is_given_fits_the_room(farm: Farmhand) -> None:
    """Never more units than are free; smaller jobs behind a big one may go ahead."""
    await farm.submit(new_job("1080p30-h264"), new_job(BIG), new_job("720p30-h264"), new_job(SMALL), new_job(SMALL))

    grants = await farm.claim(node_info(units=8))

    assert [4, 2, 1, 1] == [grant.units for grant in grants]


async def test_a_job_larger_than_the_node_runs_there_alone(farm: Farmhand) -> None:
    """8 units on a node of 2: it gets the whole node, and only when the whole node is free."""
    [big, *_] = await farm.submit(new_job(BIG), new_job(SMALL))
    node = node_info(units=2)

    [grant] = await farm.claim(node)
    assert (big.id, 2) == (grant.key.job_id, grant.units)


async def test_a_busy_small_node_does_not_get_the_big_job(farm: Farmhand) -> None:
    """One unit is taken, so the big one waits and the small one goes ahead."""
    [_, small] = await farm.submit(new_job(BIG), new_job(SMALL))

    assert [small.id] == [grant.key.job_id for grant in await farm.claim(node_info(units=2), 1)]


async def test_a_node_without_room_gets_nothing(farm: Farmhand) -> None:
    """Zero or less is no room."""
    await farm.submit(*new_jobs(3))

    assert [] == await farm.claim(node_info(), 0)
    assert [] == await farm.claim(node_info(), -1)


async def test_a_job_passed_over_for_30_s_reserves_the_next_node(farm: Farmhand) -> None:
    """Small jobs go ahead of it only so long; then the node is kept until the big one fits."""
    node = node_info(units=8)
    [big] = await farm.submit(new_job(BIG))
    await farm.beat(node)
    await farm.submit(*new_jobs(20))

    assert 2 == len(await farm.claim(node, 2))
    assert 2 == len(await farm.claim(node, 2, after=PATIENCE_SECONDS - 1)), "it has not waited long enough"
    await farm.beat(node, after=PATIENT)
    assert [] == await farm.claim(node, 2, after=PATIENT)
    assert [] == await farm.claim(node, 7, after=PATIENT + 1)
    assert [big.id] == [grant.key.job_id for grant in await farm.claim(node, 8, after=PATIENT + 2)]


async def test_a_better_job_with_equal_needs_takes_the_reservation_over(farm: Farmhand) -> None:
    """It goes first, but the node that is kept does not go to small jobs again; the other big one has it next."""
    node = node_info(units=8)
    [first] = await farm.submit(new_job(BIG))
    await farm.submit(*new_jobs(20))
    await farm.claim(node, 2)
    await farm.beat(node, after=PATIENT)
    assert [] == await farm.claim(node, 2, after=PATIENT)

    [better] = await farm.submit(new_job(BIG, priority="high"))
    await farm.submit(*new_jobs(20))
    assert [] == await farm.claim(node, 2, after=PATIENT + 1)
    assert [better.id] == [grant.key.job_id for grant in await farm.claim(node, 8, after=PATIENT + 2)]
    assert [] == await farm.claim(node, 7, after=PATIENT + 3)
    assert [first.id] == [grant.key.job_id for grant in await farm.claim(node, 8, after=PATIENT + 4)]


async def test_a_reservation_keeps_one_node_not_the_farm(farm: Farmhand) -> None:
    """While one node empties for the big job, another goes on with small ones."""
    one, other = node_info("one"), node_info("other")
    await farm.submit(new_job(BIG), *new_jobs(20))
    await farm.claim(one, 2)
    await farm.beat(one, after=PATIENT)
    await farm.beat(other, after=PATIENT)

    assert [] == await farm.claim(one, 2, after=PATIENT)
    assert 2 == len(await farm.claim(other, 2, after=PATIENT))


async def test_a_reservation_moves_on_when_its_node_dies(farm: Farmhand) -> None:
    """A dead node holds nothing: the next one that asks is kept instead."""
    one, other = node_info("one"), node_info("other")
    await farm.submit(new_job(BIG), *new_jobs(20))
    await farm.claim(one, 2)
    await farm.beat(one, after=PATIENT)
    assert [] == await farm.claim(one, 2, after=PATIENT)

    await farm.beat(other, after=PATIENT + 60)
    assert [] == await farm.claim(other, 2, after=PATIENT + 60)


async def test_live_jobs_may_use_the_reserve_and_others_may_not(farm: Farmhand) -> None:
    """`--reserve-live 4` of 8: others get four units, live ones all of them."""
    node = node_info(units=8)
    await farm.submit(*(new_job(SMALL, queue="batch") for _ in range(20)))

    assert 4 == len(await farm.claim(node, 8, reserve_live=4))
    assert [] == await farm.claim(node, 4, reserve_live=4)
    await farm.submit(*(new_job(SMALL, queue="live") for _ in range(20)))
    assert 4 == len(await farm.claim(node, 4, reserve_live=4))


async def test_a_big_job_still_fits_a_node_with_a_reserve(farm: Farmhand) -> None:
    """It is capped at what the reserve leaves, so it does not wait forever."""
    [big] = await farm.submit(new_job(BIG, queue="batch"))

    [grant] = await farm.claim(node_info(units=8), 8, reserve_live=2)

    assert (big.id, 6) == (grant.key.job_id, grant.units)


async def test_a_node_that_left_gets_nothing(farm: Farmhand) -> None:
    """A worker that said goodbye is given no job, however late its claim is tried."""
    node = node_info()
    await farm.beat(node)
    await farm.goodbye(node)
    await farm.submit(new_job())

    assert [] == await farm.claim(node)


async def test_a_draining_node_gets_nothing_until_it_is_resumed(farm: Farmhand) -> None:
    """What it has goes on; nothing new comes."""
    node = node_info()
    await farm.beat(node)
    await farm.submit(*new_jobs(2))

    assert await farm.change(lambda tx, _: set_draining(tx, node.id, True))
    assert [] == await farm.claim(node)
    assert await farm.change(lambda tx, _: set_draining(tx, node.id, False))
    assert 2 == len(await farm.claim(node))


async def test_a_node_whose_worker_ends_gets_nothing_and_nothing_is_kept_for_it(farm: Farmhand) -> None:
    """Nor does a user's word change that; the next node that asks is kept for the big job instead."""
    one, other = node_info("one"), node_info("other")
    await farm.submit(new_job(BIG), *new_jobs(20))
    await farm.claim(one, 2)
    await farm.beat(one, after=PATIENT)
    assert [] == await farm.claim(one, 2, after=PATIENT)

    await farm.beat(msgspec.structs.replace(one, stopping=True), after=PATIENT + 1)
    assert await farm.change(lambda tx, _: set_draining(tx, one.id, False))
    assert [] == await farm.claim(one, after=PATIENT + 1)
    await farm.beat(other, after=PATIENT + 1)
    assert [] == await farm.claim(other, 2, after=PATIENT + 1)
    assert 1 == len(await farm.claim(other, after=PATIENT + 1))


async def test_nothing_is_kept_for_a_node_in_trouble(farm: Farmhand) -> None:
    """It asks for nothing, so the next node that asks is kept for the big job instead."""
    one, other = node_info("one"), node_info("other")
    await farm.submit(new_job(BIG), *new_jobs(20))
    await farm.claim(one, 2)
    await farm.beat(one, after=PATIENT)
    assert [] == await farm.claim(one, 2, after=PATIENT)

    await farm.beat(msgspec.structs.replace(one, trouble="its disk is full"), after=PATIENT + 1)
    await farm.beat(other, after=PATIENT + 1)
    assert [] == await farm.claim(other, 2, after=PATIENT + 1)
    assert 1 == len(await farm.claim(other, after=PATIENT + 1))


async def test_a_retry_is_given_when_its_backoff_has_ended_and_not_before(farm: Farmhand) -> None:
    """A claim promotes what is due."""
    node = node_info()
    await farm.submit(new_job())
    key = await farm.run(node)
    await farm.report(failed(key, node))
    job = await farm.job(key.job_id)
    assert job.eligible_at is not None
    due = job.eligible_at - job.created_at

    assert [] == await farm.claim(node, after=due - 0.01)
    [grant] = await farm.claim(node, after=due)
    assert (key.job_id, 2) == (grant.key.job_id, grant.key.attempt)


async def test_a_worker_that_says_what_no_database_stores_harms_nobody(farm: Farmhand) -> None:
    """A NUL in its name is replaced; the job is its own."""
    [job] = await farm.submit(new_job(SMALL))

    [grant] = await farm.claim(node_info("mi\0ll"))

    assert (job.id, "mi\ufffdll") == (grant.key.job_id, (await farm.job(job.id)).node_name)


async def test_claims_together_are_as_one_after_the_other(farm: Farmhand) -> None:
    """A big job that is passed over by two of them reserves one node; each job goes to one, in order."""
    nodes = [node_info(f"mill-{n}") for n in range(3)]
    for node in nodes:
        await farm.beat(node)
    [big, *small] = await farm.submit(new_job(BIG), *new_jobs(12))
    await farm.claim(nodes[0], 1)
    for node in nodes:
        await farm.beat(node, after=PATIENT)

    offers = [offer(node, free) for node, free in zip(nodes, (2, 3, 8), strict=True)]
    given = await farm.change(lambda tx, judged: claim_each(tx, offers, 30.0, judged), after=PATIENT)

    granted = [[grant.key.job_id for grant in grants] for grants in given]
    assert [[], [job.id for job in small[:3]], [big.id]] == granted
