"""Why a job does not run: the true reason in each case, for the job and for each node."""

from __future__ import annotations

import msgspec
import pytest

from reelmill.domain.explanation import Explanation
from reelmill.domain.job import Job
from reelmill.errors import NotFound
from reelmill.store.claim import PATIENCE_SECONDS
from reelmill.store.explain import explain_job
from reelmill.store.nodes import set_draining
from reelmill.store.retention import prune_ended
from reelmill.store.tenants import set_limit
from tests.farmhand import Farmhand
from tests.samples import NOW, failed, new_job, new_jobs, node_info, settled, started

NODE = node_info("mill", units=4)
BIG = "1080p30-h264"  # 4 units
ASK_TO_RESUME = "`reelmill jobs resume` lets it go on"


async def explained(farm: Farmhand, job: Job, after: float = 0.0) -> Explanation:
    """What is said of the job as it is now."""
    current = await farm.job(job.id)
    return await farm.store.read(lambda tx: explain_job(tx, current, NOW + after))


def reasons(found: Explanation) -> list[tuple[str, bool, str]]:
    """What is said of each node."""
    return [(node.node_name, node.able, node.reason) for node in found.nodes]


async def test_without_a_node_every_job_waits_for_one(farm: Farmhand) -> None:
    """Nobody is there."""
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert ("no node is online", []) == (found.summary, found.nodes)


async def test_an_engine_that_no_node_has_is_named(farm: Farmhand) -> None:
    """The job stays queued, and says what it needs."""
    await farm.beat(NODE)
    [job] = await farm.submit(new_job(engine="gstreamer"))
    found = await explained(farm, job)
    assert "no node of this farm can run it: it needs gstreamer with an encoder for h264" == found.summary
    assert [("mill", False, "needs gstreamer with an encoder for h264")] == reasons(found)


async def test_a_label_that_no_node_carries_is_named(farm: Farmhand) -> None:
    """Also when a node has it with another value."""
    await farm.beat(node_info("berlin", labels={"site": "ber"}))
    await farm.beat(node_info("plain"))
    [job] = await farm.submit(new_job(node_labels={"site": "par", "gpu": "yes"}))
    found = await explained(farm, job)
    assert "no node of this farm can run it: it needs the labels gpu=yes, site=par" == found.summary
    assert [
        ("berlin", False, "needs the labels gpu=yes, site=par"),
        ("plain", False, "needs the labels gpu=yes, site=par"),
    ] == reasons(found)


async def test_what_no_single_node_has_is_named(farm: Farmhand) -> None:
    """Two nodes have one half each: the job needs both halves in one place."""
    await farm.beat(node_info("gpu", engines={"ffmpeg": ["av1"]}, labels={"gpu": "yes"}))
    await farm.beat(node_info("plain"))
    [job] = await farm.submit(new_job(node_labels={"gpu": "yes"}))
    found = await explained(farm, job)
    wanted = "needs an encoder for h264 and the label gpu=yes on one node"
    assert f"no node of this farm can run it: it {wanted}" == found.summary
    assert [("gpu", False, "needs an encoder for h264"), ("plain", False, "needs the label gpu=yes")] == reasons(found)


async def test_a_busy_node_says_how_busy(farm: Farmhand) -> None:
    """All its units are taken, and these jobs come first."""
    await farm.beat(NODE)
    await farm.submit(*new_jobs(7))
    await farm.claim(NODE)
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert ("waits for room: 3 jobs before it", 3) == (found.summary, found.ahead)
    assert [("mill", True, "busy: 4 of 4 units, 1 needed")] == reasons(found)


async def test_a_paused_job_on_a_node_takes_room_and_one_that_is_published_does_not(farm: Farmhand) -> None:
    """The engine that stands still keeps its units; the one that has ended does not."""
    await farm.beat(NODE)
    [stands, ends] = await farm.submit(*new_jobs(2))
    for grant in await farm.claim(NODE, 2):
        await farm.report(started(grant.key, NODE))
        if grant.key.job_id == ends.id:
            assert [True] == await farm.report(settled(grant.key, NODE))
    await farm.act(stands.id, "pause")
    [job] = await farm.submit(new_job(BIG))
    held = "busy: 1 of 4 units, 1 of them held by paused jobs, 4 needed"
    assert [("mill", True, held)] == reasons(await explained(farm, job))


async def test_a_node_whose_units_paused_jobs_hold_says_so(farm: Farmhand) -> None:
    """One of them, then both, then none: whoever waits learns that a resume or a cancel would help, and where."""
    node = node_info("mill", units=2)
    await farm.beat(node)
    [one, other] = await farm.submit(*new_jobs(2))
    for grant in await farm.claim(node):
        await farm.report(started(grant.key, node))
    [job] = await farm.submit(new_job())
    for held, paused in ((one, ", 1 of them held by paused jobs"), (other, ", 2 of them held by paused jobs")):
        await farm.act(held.id, "pause")
        assert [("mill", True, f"busy: 2 of 2 units{paused}, 1 needed")] == reasons(await explained(farm, job))
    for held in (one, other):
        await farm.act(held.id, "resume")
    assert [("mill", True, "busy: 2 of 2 units, 1 needed")] == reasons(await explained(farm, job))


async def test_jobs_that_cannot_run_are_not_ahead(farm: Farmhand) -> None:
    """A queue full of what this farm cannot run, or whose tenant is at its limit, holds nobody up."""
    await farm.beat(NODE)
    await farm.change(lambda tx, _: set_limit(tx, "greedy", 0))
    await farm.submit(*(new_job(engine="gstreamer", queue="live") for _ in range(5)))
    await farm.submit(*(new_job(tenant="greedy", queue="live") for _ in range(5)))
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert ("waits for room: it is the next one", "about to get it") == (found.summary, found.nodes[0].reason)


async def test_a_node_that_is_not_asked_for_jobs_yet_says_who_is_first(farm: Farmhand) -> None:
    """There is room, and other jobs get it."""
    await farm.beat(NODE)
    await farm.submit(*new_jobs(12))
    [job] = await farm.submit(new_job())
    assert [("mill", True, "12 jobs before it")] == reasons(await explained(farm, job))


async def test_a_draining_node_says_so(farm: Farmhand) -> None:
    """It could, but takes nothing; when no other can, the job says how to change that."""
    await farm.beat(NODE)
    await farm.beat(node_info("other", engines={"ffmpeg": ["av1"]}))
    await farm.change(lambda tx, _: set_draining(tx, NODE.id, True))
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert [("other", False, "needs an encoder for h264"), ("mill", False, "is draining")] == sorted(
        reasons(found), reverse=True
    )
    advice = "`reelmill nodes resume` lets one take jobs again (mill)"
    assert f"every node that can run it is draining; {advice}" == found.summary


async def test_a_node_whose_worker_ends_is_not_to_be_resumed(farm: Farmhand) -> None:
    """The advice names only nodes that a user drained; without one it is to start a worker."""
    await farm.beat(msgspec.structs.replace(NODE, stopping=True))
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert [("mill", False, "is stopping")] == reasons(found)
    assert "every node that can run it is stopping; start a worker again" == found.summary

    other = node_info("other")
    await farm.beat(other)
    await farm.change(lambda tx, _: set_draining(tx, other.id, True))
    advice = "`reelmill nodes resume` lets one take jobs again (other)"
    assert f"every node that can run it is draining or stopping; {advice}" == (await explained(farm, job)).summary


async def test_a_node_in_trouble_says_why_it_takes_no_jobs(farm: Farmhand) -> None:
    """In its own words, and only as long as it says so."""
    await farm.beat(msgspec.structs.replace(NODE, trouble="its disk is full"))
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert [("mill", False, "takes no jobs: its disk is full")] == reasons(found)
    assert "every node that can run it takes no jobs now; mill takes no jobs: its disk is full" == found.summary

    await farm.beat(NODE)
    assert [("mill", True, "about to get it")] == reasons(await explained(farm, job))


async def test_a_node_that_is_kept_for_a_big_job_names_it(farm: Farmhand) -> None:
    """Small jobs wait although there is room for them, and the big one says that it is next."""
    await farm.beat(NODE)
    await farm.submit(new_job())
    held = await farm.claim_one(NODE)
    [big] = await farm.submit(new_job(BIG))
    assert [] == await farm.claim(NODE, 3)
    late = PATIENCE_SECONDS + 12
    await farm.beat(NODE, held, after=late)
    [small] = await farm.submit(new_job(), after=late)
    assert [] == await farm.claim(NODE, 3, after=late)

    found = await explained(farm, small, late)
    assert "waits for room: 1 job before it" == found.summary
    assert [("mill", True, f"is kept for job {big.sequence_number} (passed over for 42 s)")] == reasons(found)
    found = await explained(farm, big, late)
    assert "waits for room: it is the next one, and mill is kept for it" == found.summary
    assert [("mill", True, "busy: 1 of 4 units, 4 needed")] == reasons(found)


async def test_units_that_are_kept_for_live_jobs_are_named(farm: Farmhand) -> None:
    """A node with a reserve says so to those that it does not take; a live job gets it."""
    node = node_info("mill", units=4, reserve_live=2)
    await farm.beat(node)
    await farm.submit(*new_jobs(2))
    assert 2 == len(await farm.claim(node))
    [job] = await farm.submit(new_job())
    [live] = await farm.submit(new_job(queue="live"))
    kept = "keeps 2 units for live jobs; busy: 2 of 4 units, 1 needed"
    assert [("mill", True, kept)] == reasons(await explained(farm, job))
    assert [("mill", True, "about to get it")] == reasons(await explained(farm, live))
    assert [live.id] == [grant.key.job_id for grant in await farm.claim(node, 2)]
    kept = "keeps 1 unit for live jobs; busy: 3 of 4 units, 1 needed"
    assert [("mill", True, kept)] == reasons(await explained(farm, job))


async def test_a_tenant_at_its_limit_is_named(farm: Farmhand) -> None:
    """With how many of its jobs run, for the job and for each node that could run it."""
    await farm.beat(NODE)
    await farm.change(lambda tx, _: set_limit(tx, "studio", 3))
    *_, job = await farm.submit(*(new_job(tenant="studio") for _ in range(4)))
    assert 3 == len(await farm.claim(NODE))
    found = await explained(farm, job)
    assert "tenant studio is at its limit: 3 of 3 jobs running" == found.summary
    assert [("mill", True, "tenant studio is at its limit: 3 of 3 jobs running")] == reasons(found)


async def test_a_backoff_says_until_when_and_why(farm: Farmhand) -> None:
    """A job that waits for its next try says when, and why the last one failed."""
    await farm.beat(NODE)
    [job] = await farm.submit(new_job())
    key = await farm.run(NODE)
    await farm.report(failed(key, NODE))
    eligible_at = (await farm.job(job.id)).eligible_at
    assert eligible_at is not None
    found = await explained(farm, job, after=eligible_at - NOW - 1.0)
    why = "The input's server does not answer; try later."
    assert eligible_at < NOW + 2.0, "it is in the second that is written here"
    assert f"waits for its retry at 2023-11-14 22:13:2{int(eligible_at - NOW)} UTC (in 1 s; {why})" == found.summary
    assert [found.summary] == [node.reason for node in found.nodes]
    assert "waits for room: it is the next one" == (await explained(farm, job, eligible_at - NOW)).summary


async def test_a_paused_job_says_how_to_go_on(farm: Farmhand) -> None:
    """One that waits, and one whose engine stands still on a node."""
    await farm.beat(NODE)
    [waits, stands] = await farm.submit(*new_jobs(2))
    await farm.act(waits.id, "pause")
    await farm.run(NODE)
    await farm.act(stands.id, "pause")
    assert f"the job is paused; {ASK_TO_RESUME}" == (await explained(farm, waits)).summary
    found = await explained(farm, stands)
    assert f"the job is paused on mill, where its engine stands still; {ASK_TO_RESUME}" == found.summary
    assert [] == found.nodes


async def test_jobs_on_a_node_and_ended_ones_say_what_they_are(farm: Farmhand) -> None:
    """There is nothing to wait for."""
    await farm.beat(NODE)
    [job] = await farm.submit(new_job())
    key = await farm.claim_one(NODE)
    assert "the job is assigned on mill" == (await explained(farm, job)).summary
    await farm.report(started(key, NODE))
    assert "the job is running on mill" == (await explained(farm, job)).summary
    await farm.act(job.id, "cancel")
    assert "the job has ended: canceled (Canceled by a user.)" == (await explained(farm, job)).summary


@pytest.mark.parametrize("after", [0.0, 10_000.0])
async def test_nodes_that_are_gone_are_not_judged(farm: Farmhand, after: float) -> None:
    """Neither one that said goodbye nor one that was not heard of."""
    await farm.beat(NODE)
    if not after:
        await farm.goodbye(NODE)
    [job] = await farm.submit(new_job())
    found = await explained(farm, job, after)
    assert ("no node is online", []) == (found.summary, found.nodes)


async def test_a_job_that_is_gone_meanwhile_is_not_found(farm: Farmhand) -> None:
    """On PostgreSQL another master may forget it between two statements of one look."""
    [job] = await farm.submit(new_job())
    await farm.act(job.id, "cancel")
    await farm.change(lambda tx, _: prune_ended(tx, NOW + 1, 10))

    with pytest.raises(NotFound, match=job.id):
        await farm.store.read(lambda tx: explain_job(tx, job, NOW))
