"""A job that is encoded in chunks: split once, waiting for every piece, and true to them whatever happens to one."""

from __future__ import annotations

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.chunk import CHUNKS_PERCENT, Chunk, ChunkPlan, chunk_path
from reelmill.domain.failure import Failure
from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Split
from reelmill.domain.node import NodeInfo
from reelmill.errors import Conflict
from reelmill.store.chunks import read_progress
from reelmill.store.counts import read_counts, read_launch_counts
from reelmill.store.explain import explain_job
from reelmill.store.listing import JobFilter
from reelmill.store.retention import prune_ended
from reelmill.store.submit import Accepted
from tests.farmhand import LATER, NOW, Farmhand
from tests.samples import BAD_INPUT, NETWORK_DOWN, failed, new_job, node_info, published, result, said, settled, started

NODE = node_info(units=8)
PIECES = (
    Chunk(index=0, start=0, end=300, seek=0.0, seconds=10.0),
    Chunk(index=1, start=300, end=600, seek=10.0, seconds=10.0),
    Chunk(index=2, start=600, end=None, seek=20.0, seconds=20.0),
)


async def split_job(farm: Farmhand, node: NodeInfo = NODE) -> Job:
    """A job of a launch that has just been split into three."""
    parameters = {"input": "in.mp4", "output": "outputs/a.mp4"}
    asked = new_job(queue="batch", priority="high", labels={"show": "7"}, tenant="acme", parameters=parameters)
    [job] = await farm.submit(asked, launch="l-1")
    key = await farm.claim_one(node)
    assert [True] == await farm.report(said(key, node, Split(PIECES)))
    return await farm.job(job.id)


async def chunks_of(farm: Farmhand, job: Job) -> list[Job]:
    """The chunks, in order."""
    return await farm.jobs(JobFilter(parent=[job.id]))


async def complete(farm: Farmhand, key: AttemptKey, after: float = 0.0) -> None:
    """Bring an attempt that was given to the node to its end."""
    words = (started(key, NODE), settled(key, NODE), published(key, NODE))
    assert [True, True, True] == await farm.report(*words, after=after)


async def test_a_split_puts_chunks_in_the_queue_and_lets_their_job_wait(farm: Farmhand) -> None:
    """They have its queue, priority, tenant and labels; nobody can claim the job before all of them are complete."""
    parent = await split_job(farm)
    chunks = await chunks_of(farm, parent)

    assert ("queued", 3, 3, None) == (parent.status, parent.chunks, parent.chunks_left, parent.lease_until)
    assert [f"{parent.id}-1c{index}" for index in range(3)] == [chunk.id for chunk in chunks]
    for chunk, piece in zip(chunks, PIECES, strict=True):
        assert ("batch", "high", "acme", {"show": "7"}, "queued") == (
            *(chunk.queue, chunk.priority, chunk.tenant, chunk.labels),
            chunk.status,
        )
        assert (piece, "in.mp4", chunk_path(parent.id, 1, piece.index)) == (
            *(chunk.parameters.piece, chunk.parameters.input),
            chunk.parameters.output,
        )
    given = await farm.claim(NODE)
    assert [chunk.id for chunk in chunks] == [grant.key.job_id for grant in given]


async def test_a_repeated_split_counts_once_and_a_stale_one_never(farm: Farmhand) -> None:
    """A word may be said twice, and by a worker that lost its lease."""
    parent = await split_job(farm)
    again = said(AttemptKey(parent.id, 1), NODE, Split(PIECES))

    assert [True] == await farm.report(again)
    assert [False] == await farm.report(said(AttemptKey(parent.id, 2), NODE, Split(PIECES)))
    assert 3 == len(await chunks_of(farm, parent))


async def test_the_last_chunk_makes_its_job_ready_and_a_node_is_told_to_join(farm: Farmhand) -> None:
    """Progress comes with each chunk, by its length; the next grant of the job carries the plan."""
    parent = await split_job(farm)
    grants = await farm.claim(NODE)
    await complete(farm, grants[2].key)
    waiting = await farm.job(parent.id)
    assert ("queued", 2, CHUNKS_PERCENT / 2) == (waiting.status, waiting.chunks_left, waiting.progress)
    assert [] == await farm.claim(NODE)

    await complete(farm, grants[0].key)
    await complete(farm, grants[1].key)
    [join] = await farm.claim(NODE)
    assert ChunkPlan(1, PIECES, 3 * result().encode_seconds, 3 * result().cpu_seconds) == join.chunk_plan
    assert AttemptKey(parent.id, 2) == join.key
    await complete(farm, join.key)
    done = await farm.job(parent.id)
    assert ("completed", 100.0, 0) == (done.status, done.progress, done.chunks_left)


async def test_the_progress_of_the_whole_is_that_of_its_chunks(farm: Farmhand) -> None:
    """Weighted by their lengths, as they are now."""
    parent = await split_job(farm)
    [first, *_] = await farm.claim(NODE)
    await farm.report(started(first.key, NODE))
    await farm.beat(NODE, first.key)  # 50 % of a quarter

    progress = await farm.store.read(lambda tx: read_progress(tx, parent))
    assert round(CHUNKS_PERCENT / 8, 1) == progress


async def test_counts_launches_and_lists_know_the_job_and_not_its_chunks(farm: Farmhand) -> None:
    """Who submitted one job sees one job; the chunks are there for who asks for them."""
    parent = await split_job(farm)
    await complete(farm, (await farm.claim(NODE))[0].key)

    assert [parent.id] == [job.id for job in await farm.jobs()]
    assert [parent.id] == [job.id for job in await farm.jobs(JobFilter(status=["queued"], tenant=["acme"]))]
    assert 2 == len(await farm.jobs(JobFilter(parent=[parent.id], status=["assigned"])))
    counts = await farm.store.read(read_counts)
    assert {"queued": 1} == {key.status: n for key, n in counts.items()}
    assert {"l-1": {"queued": 1}} == await farm.store.read(lambda tx: read_launch_counts(tx, ["l-1"]))


async def test_a_chunk_that_fails_for_good_fails_its_job_and_cancels_the_others(farm: Farmhand) -> None:
    """With its reason; and a retry of the job runs only what is not complete (P5 holds for each chunk)."""
    parent = await split_job(farm)
    first, second, third = [grant.key for grant in await farm.claim(NODE)]
    await complete(farm, first)
    await farm.report(started(second, NODE), failed(second, NODE, BAD_INPUT))

    job = await farm.job(parent.id)
    assert ("failed", "input_error", "input_missing") == (job.status, job.failure_reason, job.error_code)
    assert f"Chunk 2 of 3 failed: {BAD_INPUT.message}" == job.error
    assert ["completed", "failed", "canceled"] == [chunk.status for chunk in await chunks_of(farm, parent)]
    assert [False] == await farm.report(settled(third, NODE))

    await farm.act(parent.id, "retry")
    again = await farm.claim(NODE)
    assert [second.job_id, third.job_id] == [grant.key.job_id for grant in again]
    for grant in again:
        await complete(farm, grant.key)
    assert parent.id == (await farm.claim_one(NODE)).job_id


async def test_a_lost_worker_repeats_only_its_chunk(farm: Farmhand) -> None:
    """P4 for each chunk: what is complete stays so, and the job knows nothing of it."""
    parent = await split_job(farm)
    first, *lost = [grant.key for grant in await farm.claim(NODE)]
    await complete(farm, first)
    assert 2 == await farm.sweep(LATER)

    assert ["completed", "retrying", "retrying"] == [chunk.status for chunk in await chunks_of(farm, parent)]
    again = await farm.claim(node_info("mill-2"), after=LATER + 60)
    assert [key.job_id for key in lost] == [grant.key.job_id for grant in again]
    assert ("queued", 2, 0) == ((job := await farm.job(parent.id)).status, job.chunks_left, job.crashes)


async def test_pause_resume_and_cancel_reach_the_chunks(farm: Farmhand) -> None:
    """What users do to the job is done to all of it."""
    parent = await split_job(farm)
    first, second, _ = [grant.key for grant in await farm.claim(NODE)]
    await complete(farm, first)
    await farm.report(started(second, NODE))

    await farm.act(parent.id, "pause")
    assert "paused" == (await farm.job(parent.id)).status
    assert ["completed", "paused", "paused"] == [chunk.status for chunk in await chunks_of(farm, parent)]
    assert [second] == (await farm.beat(NODE, second)).paused
    await farm.act(parent.id, "resume")
    assert ["completed", "running", "queued"] == [chunk.status for chunk in await chunks_of(farm, parent)]
    assert ("queued", 2) == ((job := await farm.job(parent.id)).status, job.chunks_left)
    await farm.act(parent.id, "cancel")
    assert ["completed", "canceled", "canceled"] == [chunk.status for chunk in await chunks_of(farm, parent)]
    assert [second] == (await farm.beat(NODE, second)).drop


async def test_a_canceled_job_that_is_retried_is_split_anew(farm: Farmhand) -> None:
    """Its chunks are not kept; the new ones are jobs of their own."""
    parent = await split_job(farm)
    await farm.act(parent.id, "cancel")
    await farm.act(parent.id, "retry")
    key = await farm.claim_one(NODE)
    assert [True] == await farm.report(said(key, NODE, Split(PIECES)))

    chunks = await chunks_of(farm, parent)
    assert [*["canceled"] * 3, *["queued"] * 3] == [chunk.status for chunk in chunks]
    assert f"{parent.id}-2c0" == chunks[3].id


async def test_a_chunk_that_is_lost_lets_the_job_be_split_anew(farm: Farmhand) -> None:
    """The one thing that a join cannot make good; it is tried again from the beginning."""
    parent = await split_job(farm)
    for grant in await farm.claim(NODE):
        await complete(farm, grant.key)
    key = await farm.run(NODE)
    lost = Failure("platform_error", "chunk_lost", "Chunk 1 is gone.")
    await farm.report(failed(key, NODE, lost))
    assert ("retrying", 0, None) == ((job := await farm.job(parent.id)).status, job.chunks, job.chunk_plan)

    [again] = await farm.claim(NODE, after=300)
    assert (parent.id, None) == (again.key.job_id, again.chunk_plan)


async def test_a_join_that_fails_for_a_while_joins_again(farm: Farmhand) -> None:
    """The chunks stay complete."""
    parent = await split_job(farm)
    for grant in await farm.claim(NODE):
        await complete(farm, grant.key)
    key = await farm.run(NODE)
    await farm.report(failed(key, NODE, NETWORK_DOWN))

    [again] = await farm.claim(NODE, after=300)
    assert (parent.id, PIECES) == (again.key.job_id, again.chunk_plan.chunks if again.chunk_plan else None)


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
async def test_users_act_on_the_job_and_not_on_a_chunk(farm: Farmhand, action: str) -> None:
    """It would leave the job waiting for ever."""
    parent = await split_job(farm)
    [first, *_] = await chunks_of(farm, parent)
    with pytest.raises(Conflict, match=parent.id):
        await farm.act(first.id, action)  # pyright: ignore[reportArgumentType]


async def test_why_it_waits_is_said(farm: Farmhand) -> None:
    """By explain: how many chunks are left."""
    parent = await split_job(farm)
    await complete(farm, (await farm.claim(NODE))[0].key)
    waiting = await farm.job(parent.id)
    explained = await farm.store.read(lambda tx: explain_job(tx, waiting, NOW))
    assert explained.summary.startswith("waits for 2 of its 3 chunks")


async def test_chunks_are_forgotten_with_their_job_and_not_before(farm: Farmhand) -> None:
    """A job that is retried late must find what is complete."""
    parent = await split_job(farm)
    first, *others = [grant.key for grant in await farm.claim(NODE)]
    await complete(farm, first)
    assert 0 == await farm.store.write(lambda tx: prune_ended(tx, NOW + 10, 100))
    for key in others:
        await complete(farm, key)
    await complete(farm, await farm.claim_one(NODE))

    assert 1 == await farm.store.write(lambda tx: prune_ended(tx, NOW + 10, 100))
    assert [] == await chunks_of(farm, parent)
    assert {} == await farm.store.read(read_counts)


async def test_a_full_tenant_may_split_what_it_has(farm: Farmhand) -> None:
    """A limit of what waits bounds what is submitted."""
    parent = await split_job(farm)
    assert 3 == len(await chunks_of(farm, parent))
    [answer] = await farm.offer_jobs(new_job(queue="batch"), max_queued=2)
    assert isinstance(answer, Accepted)
