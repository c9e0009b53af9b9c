"""Accepting jobs: order, idempotency keys, launches, counts (P1, P2)."""

from __future__ import annotations

import pytest

from reelmill.domain.job import NewJob
from reelmill.errors import Conflict
from reelmill.store.counts import CountKey, read_counts
from reelmill.store.launches import get_launch, launch_timings, list_launches, take_back_launch
from reelmill.store.protocol import Tx
from reelmill.store.submit import Accepted, Answer, ensure_launch, insert_jobs
from tests.farmhand import Farmhand
from tests.samples import NOW, new_job, new_jobs, node_info, rules


def summary(answers: list[Answer]) -> list[tuple[str, bool] | str]:
    """What became of each: the job's id and whether it is new, or the code of the conflict."""
    return [(answer.job.id, answer.created) if isinstance(answer, Accepted) else answer.code for answer in answers]


async def test_an_accepted_job_is_kept_as_it_was_asked_for(farm: Farmhand) -> None:
    """Every field comes back, from the answer and from the store alike."""
    asked = new_job(
        "4K60-h265",
        queue="live",
        priority="low",
        engine="ffmpeg",
        parameters={"duration": 5.5, "bitrate": "12M", "input": "a/ä.mp4", "output": "b.mkv", "timeout": 60},
        labels={"team": "küche", "n": ""},
        confidence=0.5,
    )
    [job] = await farm.submit(asked, after=3)

    assert job == await farm.job(asked.id)
    assert (asked.scenario, asked.engine, asked.queue, asked.priority) == (
        *(job.scenario, job.engine, job.queue, job.priority),
    )
    assert (asked.parameters, asked.labels, 0.5) == (job.parameters, job.labels, job.confidence)
    assert ("queued", 0, NOW + 3, "default") == (job.status, job.attempt, job.created_at, job.tenant)


async def test_jobs_are_numbered_in_the_order_given(farm: Farmhand) -> None:
    """Within a batch and from batch to batch; a number is never given again."""
    jobs = [job for _ in range(3) for job in await farm.submit(*new_jobs(40))]

    numbers = [job.sequence_number for job in jobs]
    assert sorted(set(numbers)) == numbers
    assert [job.id for job in jobs] == [job.id for job in await farm.jobs()]


async def test_an_empty_batch_is_no_work(farm: Farmhand) -> None:
    """Nothing in, nothing out."""
    assert [] == await farm.offer_jobs()


async def test_the_same_key_and_body_is_the_same_job(farm: Farmhand) -> None:
    """A client that did not hear the answer asks again and gets the first job, in whatever state it is by now."""
    first = new_job(idempotency_key="k", parameters={"duration": 5})
    again = new_job(idempotency_key="k", parameters={"duration": 5})
    [job] = await farm.submit(first)
    await farm.act(job.id, "cancel")

    [answer] = await farm.offer_jobs(again)

    assert isinstance(answer, Accepted)
    assert (job.id, "canceled", False) == (answer.job.id, answer.job.status, answer.created)
    assert 1 == len(await farm.jobs())


async def test_the_same_key_and_another_body_is_a_conflict(farm: Farmhand) -> None:
    """The first job stays as it is, and the sentence names it."""
    [job] = await farm.submit(new_job(idempotency_key="k"))

    [answer] = await farm.offer_jobs(new_job("720p30-h264", idempotency_key="k"))

    assert isinstance(answer, Conflict)
    assert "idempotency_key_reused" == answer.code
    assert job.id in str(answer)
    assert [job] == await farm.jobs()


async def test_keys_are_judged_inside_one_batch_too(farm: Farmhand) -> None:
    """Of equal items the first is stored; another body under its key is a conflict; the rest is not harmed."""
    await farm.submit(new_job(idempotency_key="old"))
    [old] = await farm.jobs()
    a, plain, b = new_job(idempotency_key="a"), new_job(), new_job(idempotency_key="b")
    batch = [
        *(a, new_job(idempotency_key="a"), plain, new_job("720p30-h264", idempotency_key="a")),
        *(new_job(idempotency_key="old"), b, new_job("4K30-h264", idempotency_key="old")),
    ]

    answers = await farm.offer_jobs(*batch)

    reused = "idempotency_key_reused"
    expected = [(a.id, True), (a.id, False), (plain.id, True), reused, (old.id, False), (b.id, True), reused]
    assert expected == summary(answers)
    assert [old.id, a.id, plain.id, b.id] == [job.id for job in await farm.jobs()]
    assert {CountKey("queued", "default", "medium", "480p30-h264"): 4} == await farm.store.read(read_counts)
    numbers = {answer.job.id: answer.job.sequence_number for answer in answers if isinstance(answer, Accepted)}
    assert numbers == {job.id: job.sequence_number for job in await farm.jobs()}


async def test_a_thousand_repeats_at_once_are_all_found(farm: Farmhand) -> None:
    """More keys than fit into one question to the database."""

    def batch() -> list[NewJob]:
        return [new_job(idempotency_key=f"k{n}") for n in range(1200)]

    jobs = await farm.submit(*batch())
    answers = await farm.offer_jobs(*batch())

    assert [(job.id, False) for job in jobs] == summary(answers)


async def test_a_launch_counts_its_jobs_by_status(farm: Farmhand) -> None:
    """Through every change, and at the same cost however many there are."""
    jobs = await farm.submit(*new_jobs(5), launch="L")
    await farm.submit(*new_jobs(3), launch="other", after=1)
    await farm.act(jobs[0].id, "cancel")
    await farm.act(jobs[1].id, "pause")

    launch = await farm.store.read(lambda tx: get_launch(tx, "L"))

    assert launch is not None
    assert {"queued": 3, "canceled": 1, "paused": 1} == launch.counts
    assert ["other", "L"] == [found.id for found in await farm.store.read(lambda tx: list_launches(tx, 10))]
    assert ["other"] == [found.id for found in await farm.store.read(lambda tx: list_launches(tx, 1))]
    assert await farm.store.read(lambda tx: get_launch(tx, "none")) is None


async def test_jobs_may_join_a_launch_later(farm: Farmhand) -> None:
    """The launch stays as it was; a repeat under a key is not counted again."""
    await farm.submit(new_job(idempotency_key="k"), launch="L")
    await farm.offer_jobs(new_job(idempotency_key="k"), new_job(), launch="L", after=9)

    launch = await farm.store.read(lambda tx: get_launch(tx, "L"))
    assert launch is not None
    assert (NOW, {"queued": 2}) == (launch.created_at, launch.counts)


async def test_a_launch_that_got_no_jobs_can_be_taken_back(farm: Farmhand) -> None:
    """By the very transaction that made it; one that was there before says so."""
    made = await farm.change(lambda tx, _: (ensure_launch(tx, "L", None, NOW), take_back_launch(tx, "L")))
    assert (True, None) == made
    assert [] == await farm.store.read(lambda tx: list_launches(tx, 10))

    await farm.submit(new_job(), launch="L")
    assert not await farm.change(lambda tx, _: ensure_launch(tx, "L", None, NOW))


async def test_the_timings_of_a_launch_are_those_of_its_jobs(farm: Farmhand) -> None:
    """Waits, run times and speeds, with their spread; nothing where nothing ran."""
    await farm.submit(*new_jobs(2), launch="L")
    nothing = await farm.store.read(lambda tx: launch_timings(tx, "L"))
    assert (None, None, None) == (nothing.first_started_at, nothing.queue_wait, nothing.speed)
    for after in (10, 20):
        await farm.complete(node_info(units=1), after=after)

    timings = await farm.store.read(lambda tx: launch_timings(tx, "L"))

    assert (NOW + 10, NOW + 20) == (timings.first_started_at, timings.last_completed_at)
    assert timings.queue_wait is not None
    assert (2, 20.0) == (timings.queue_wait.n, timings.queue_wait.most)
    assert timings.speed is not None
    assert (2, 2.0) == (timings.speed.n, timings.speed.p50)


async def test_a_failing_transaction_leaves_nothing(farm: Farmhand) -> None:
    """All or nothing: jobs, counts and keys."""

    def work(tx: Tx) -> None:
        insert_jobs(tx, [new_job(idempotency_key="k")], rules().now)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await farm.store.write(work)

    assert [] == await farm.jobs()
    assert {} == await farm.store.read(read_counts)
    assert [True] == [
        isinstance(a, Accepted) and a.created for a in await farm.offer_jobs(new_job(idempotency_key="k"))
    ]


async def test_kinds_of_jobs_are_bounded(farm: Farmhand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind costs every claim a look: beyond the limit new ones are refused, by item, and known ones go on."""
    monkeypatch.setattr("reelmill.store.lanes.MOST_LANES", 2)
    jobs = [new_job(tenant=tenant) for tenant in ("a", "b", "c", "a")]

    answers = await farm.offer_jobs(*jobs)

    assert [True, True, False, True] == [isinstance(answer, Accepted) for answer in answers]
    assert isinstance(answers[2], Conflict)
    assert "too_many_kinds" == answers[2].code
    assert 3 == len(await farm.jobs())
