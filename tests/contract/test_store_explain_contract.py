"""Why a job does not run: the true reason in each case, for the job and for each node."""

from __future__ import annotations

from reelmill.domain.explanation import Explanation
from reelmill.domain.failure import Failure
from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Fail
from reelmill.store.explain import explain_job
from reelmill.store.nodes import set_draining
from tests.farmhand import Farmhand
from tests.samples import NOW, new_job, new_jobs, node_info, said

NODE = node_info("mill", units=4)


async def explained(farm: Farmhand, job: Job, after: float = 0.0) -> Explanation:
    """What is said of the job as it is now."""
    current = await farm.job(job.id)
    return await farm.store.read(lambda tx: explain_job(tx, current, NOW + after))


async def test_without_a_node_every_job_waits_for_one(farm: Farmhand) -> None:
    """Nobody is there."""
    [job] = await farm.submit(new_job())
    assert ("no node is online", []) == ((await explained(farm, job)).summary, (await explained(farm, job)).nodes)


async def test_an_engine_that_no_node_has_is_named(farm: Farmhand) -> None:
    """The job stays queued, and says what it needs."""
    await farm.beat(NODE)
    [job] = await farm.submit(new_job(engine="gstreamer"))
    found = await explained(farm, job)
    assert "no node of this farm can run it: it needs gstreamer with an encoder for h264" == found.summary
    assert [("mill", False, "needs gstreamer with an encoder for h264")] == [
        (node.node_name, node.able, node.reason) for node in found.nodes
    ]


async def test_a_busy_node_says_how_busy(farm: Farmhand) -> None:
    """All its units are taken, and these jobs come first."""
    await farm.beat(NODE)
    await farm.submit(*new_jobs(7))
    await farm.claim(NODE)
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert ("waits for room: 3 jobs before it", 3) == (found.summary, found.ahead)
    assert ["busy: 4 of 4 units, 1 needed"] == [node.reason for node in found.nodes]


async def test_jobs_that_cannot_run_are_not_ahead(farm: Farmhand) -> None:
    """A queue full of what this farm cannot run holds nobody up."""
    await farm.beat(NODE)
    await farm.submit(*(new_job(engine="gstreamer", queue="live") for _ in range(5)))
    [job] = await farm.submit(new_job())
    found = await explained(farm, job)
    assert ("waits for room: it is the next one", "about to get it") == (found.summary, found.nodes[0].reason)


async def test_a_draining_node_says_so(farm: Farmhand) -> None:
    """It could, but takes nothing."""
    await farm.beat(NODE)
    await farm.change(lambda tx, _: set_draining(tx, NODE.id, True))
    [job] = await farm.submit(new_job())
    assert ["is draining"] == [node.reason for node in (await explained(farm, job)).nodes]


async def test_a_backoff_says_how_long(farm: Farmhand) -> None:
    """A job that waits for its next try says when, and why the last one failed."""
    await farm.beat(NODE)
    [job] = await farm.submit(new_job())
    key = await farm.run(NODE)
    await farm.report(said(key, NODE, Fail(Failure("network_error", "unreachable", "The server is away."))))
    eligible_at = (await farm.job(job.id)).eligible_at
    assert eligible_at is not None
    found = await explained(farm, job, after=eligible_at - NOW - 1.0)
    assert "waits 1 s more for its next try (The server is away.)" == found.summary


async def test_running_paused_and_ended_jobs_say_what_they_are(farm: Farmhand) -> None:
    """There is nothing to wait for."""
    [job, paused] = await farm.submit(*new_jobs(2))
    await farm.act(paused.id, "pause")
    await farm.run(NODE)
    assert "the job is running on mill" == (await explained(farm, job)).summary
    assert (await explained(farm, paused)).summary.startswith("the job is paused")
    await farm.act(job.id, "cancel")
    assert "the job has ended: canceled (Canceled by a user.)" == (await explained(farm, job)).summary
