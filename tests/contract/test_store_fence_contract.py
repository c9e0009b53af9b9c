"""Late, doubled and foreign words change nothing (P3); silence is noticed (P4); tries end (P5)."""

from __future__ import annotations

import pytest

from reelmill.domain.attempt import AttemptKey, AttemptReport, Progress
from reelmill.domain.lifecycle import Return
from reelmill.domain.stream import StreamProgress
from reelmill.store.attempts import GRANT_SECONDS, SignOfLife, beat_all, find_garbage, lose_node, void_all_leases
from tests.farmhand import LATER, Farmhand
from tests.samples import (
    BAD_INPUT,
    LEASE,
    NOW,
    failed,
    new_job,
    new_jobs,
    node_info,
    published,
    result,
    said,
    settled,
    started,
)

ONE, OTHER = node_info("one"), node_info("other")


async def overtaken(farm: Farmhand) -> tuple[AttemptKey, AttemptKey]:
    """An attempt whose worker was lost, and the attempt that runs now elsewhere."""
    await farm.submit(new_job())
    old = await farm.run(ONE)
    assert 1 == await farm.sweep(LATER)
    new = await farm.run(OTHER, after=LATER + 10)
    assert AttemptKey(old.job_id, 2) == new
    return old, new


async def test_nothing_a_late_attempt_says_changes_the_job(farm: Farmhand) -> None:
    """Every report of a worker that was taken for dead is dropped, while the new attempt runs and after it has won."""
    old, new = await overtaken(farm)
    late = [
        started(old, ONE),
        settled(old, ONE),
        published(old, ONE),
        failed(old, ONE),
        failed(old, ONE, BAD_INPUT),
        said(old, ONE, Return("stopped")),
    ]
    running = await farm.job(new.job_id)

    assert [False] * len(late) == await farm.report(*late)
    assert running == await farm.job(new.job_id)

    assert [True, True] == await farm.report(settled(new, OTHER), published(new, OTHER))
    completed = await farm.job(new.job_id)
    assert ("completed", 2) == (completed.status, completed.winner)
    assert [False] * len(late) == await farm.report(*late)
    assert completed == await farm.job(new.job_id)
    assert ["queued", "assigned", "running", "retrying", "assigned", "running", "running", "completed"] == [
        step.to_status for step in await farm.history(new.job_id)
    ]


async def test_nothing_another_node_says_changes_the_job(farm: Farmhand) -> None:
    """It knows the token, as whoever reads the job does; the attempt is not its own."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    running = await farm.job(key.job_id)
    foreign = [started(key, OTHER), settled(key, OTHER), failed(key, OTHER), said(key, OTHER, Return("stopped"))]

    assert [False] * len(foreign) == await farm.report(*foreign)
    assert running == await farm.job(key.job_id)


async def test_a_node_is_lost_only_when_it_was_silent_since_it_left(farm: Farmhand) -> None:
    """What it holds runs elsewhere at once; one that came back, said goodbye or was never there loses nothing."""
    await farm.submit(new_job())
    await farm.beat(ONE)
    key = await farm.run(ONE)
    assert await farm.change(lambda tx, rules: lose_node(tx, OTHER.id, rules.now, rules), after=1) is None
    await farm.beat(ONE, key, after=2)
    assert await farm.change(lambda tx, rules: lose_node(tx, ONE.id, NOW + 1, rules), after=3) is None
    assert "running" == (await farm.job(key.job_id)).status
    assert 1 == await farm.change(lambda tx, rules: lose_node(tx, ONE.id, NOW + 2.5, rules), after=4)
    lost = await farm.job(key.job_id)
    assert ("retrying", 1) == (lost.status, lost.crashes)
    assert await farm.change(lambda tx, rules: lose_node(tx, ONE.id, NOW + 5, rules), after=6) is None


async def test_a_late_settle_does_not_win_while_the_job_waits_for_its_retry(farm: Farmhand) -> None:
    """Between the sweep and the next claim the token is the same; the status is not."""
    await farm.submit(new_job())
    old = await farm.run(ONE)
    await farm.sweep(LATER)

    assert [False, False, False] == await farm.report(settled(old, ONE), published(old, ONE), started(old, ONE))
    assert "retrying" == (await farm.job(old.job_id)).status


@pytest.mark.parametrize("attempt", [0, 2, -1, 10**6])
async def test_an_attempt_that_never_was_is_dropped(farm: Farmhand, attempt: int) -> None:
    """A token that nobody gave out is worth nothing."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    forged = AttemptKey(key.job_id, attempt)

    assert [False, False] == await farm.report(settled(forged, ONE), failed(forged, ONE))
    assert [False] == await farm.report(started(AttemptKey("no-such-job", 1), ONE))


async def test_a_repeat_of_a_report_that_counted_counts_and_changes_nothing(farm: Farmhand) -> None:
    """The answer may have been lost: the worker asks again and hears yes again."""
    await farm.submit(new_job())
    key = await farm.claim_one(ONE)
    for report in (started(key, ONE), settled(key, ONE), published(key, ONE)):
        assert [True] == await farm.report(report)
        before = (await farm.job(key.job_id), len(await farm.history(key.job_id)))
        assert [True, True] == await farm.report(report, report, after=9)
        assert before == (await farm.job(key.job_id), len(await farm.history(key.job_id)))


@pytest.mark.parametrize("ended", [failed(AttemptKey("", 0), ONE), said(AttemptKey("", 0), ONE, Return("stopped"))])
async def test_a_repeat_of_a_failure_or_return_counts_too(farm: Farmhand, ended: AttemptReport) -> None:
    """Else every lost answer would be counted as a stale report."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    report = said(key, ONE, ended.event)

    assert [True] == await farm.report(report)
    before = await farm.job(key.job_id)
    assert [True] == await farm.report(report)
    assert before == await farm.job(key.job_id)


async def test_a_published_word_without_a_settled_one_is_dropped(farm: Farmhand) -> None:
    """`completed` was verified, always (P8)."""
    await farm.submit(new_job())
    key = await farm.run(ONE)

    assert [False] == await farm.report(published(key, ONE))
    assert "running" == (await farm.job(key.job_id)).status


async def test_a_beat_renews_only_what_is_held_and_valid(farm: Farmhand) -> None:
    """Its own attempts are renewed; old tokens, other nodes' jobs and unknown ones are to be dropped."""
    await farm.submit(*new_jobs(2))
    mine, foreign = [grant.key for grant in await farm.claim(ONE, 1) + await farm.claim(OTHER, 1)]
    old = AttemptKey(mine.job_id, 0)
    unknown = AttemptKey("no-such-job", 1)

    answer = await farm.beat(ONE, mine, old, foreign, unknown, after=10)

    assert [mine] == answer.renewed
    assert {old, foreign, unknown} == set(answer.drop)
    assert (NOW + 10 + LEASE, 50.0) == ((job := await farm.job(mine.job_id)).lease_until, job.progress)
    assert NOW + LEASE == (await farm.job(foreign.job_id)).lease_until


async def test_beats_that_share_a_commit_are_judged_each_by_itself(farm: Farmhand) -> None:
    """Each node hears of its own attempts; of two beats of one node the later counts, as it knows more."""
    await farm.submit(*new_jobs(3))
    mine, other, late = [grant.key for grant in await farm.claim(ONE, 1) + await farm.claim(OTHER, 1)] + [
        (await farm.claim(ONE, 1))[0].key
    ]
    signs = [
        SignOfLife(ONE, [Progress(mine)]),
        SignOfLife(OTHER, [Progress(other), Progress(mine)]),
        SignOfLife(ONE, [Progress(mine), Progress(late)]),
    ]

    earlier, others, later = await farm.change(lambda tx, rules: beat_all(tx, signs, LEASE, rules), 10)

    assert ([mine, late], []) == (later.renewed, later.drop)
    assert later == earlier
    assert ([other], [mine]) == (others.renewed, others.drop)
    assert [NOW + 10 + LEASE] * 3 == [(await farm.job(key.job_id)).lease_until for key in (mine, other, late)]


async def test_a_canceled_job_is_to_be_dropped(farm: Farmhand) -> None:
    """The worker hears of it with its next beat at the latest."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.act(key.job_id, "cancel")

    assert [key] == (await farm.beat(ONE, key)).drop


async def test_an_old_sign_of_life_does_not_undo_a_settled_jobs_figures(farm: Farmhand) -> None:
    """A beat that was sent before the settle arrives after it."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.report(settled(key, ONE))
    before = await farm.job(key.job_id)

    await farm.beat_with(ONE, [Progress(key, 97.0)], after=1)
    after = await farm.job(key.job_id)

    assert (100.0, 60.0, 2.0) == (before.progress, before.fps, before.speed)
    assert (100.0, 60.0, 2.0) == (after.progress, after.fps, after.speed)
    assert NOW + 1 + LEASE == after.lease_until


async def test_a_job_keeps_how_its_stream_does_until_it_ends(farm: Farmhand) -> None:
    """Whatever the last sign of life said; behind the end only the result tells of it."""
    await farm.submit(new_job(), new_job())
    key, other = [grant.key for grant in await farm.claim(ONE)]
    await farm.report(started(key, ONE), started(other, ONE))
    for stream in (StreamProgress("sending"), StreamProgress("reconnecting", 0.25, 1.5, 30, 2)):
        await farm.beat_with(ONE, [Progress(key, 10.0, stream=stream), Progress(other, 10.0)])
        assert [stream, None] == [(await farm.job(one.job_id)).stream for one in (key, other)]

    await farm.act(key.job_id, "cancel")
    assert (await farm.job(key.job_id)).stream is None


async def test_a_grant_that_never_arrived_is_taken_back_after_5_s_and_not_before(farm: Farmhand) -> None:
    """The answer to a claim may be on its way when a beat says nothing of it; 5 s later it is not."""
    await farm.submit(new_job())
    key = await farm.claim_one(ONE)

    await farm.beat(ONE, after=GRANT_SECONDS - 0.1)
    assert "assigned" == (await farm.job(key.job_id)).status
    await farm.beat(ONE, after=GRANT_SECONDS + 0.1)
    job = await farm.job(key.job_id)
    assert ("queued", 0, 0) == (job.status, job.failures, job.crashes)
    assert AttemptKey(key.job_id, 2) == await farm.claim_one(OTHER, after=GRANT_SECONDS + 1)


async def test_a_silent_worker_loses_its_job_and_another_gets_it(farm: Farmhand) -> None:
    """When the lease has run out, and not a moment before (P4)."""
    await farm.submit(new_job())
    key = await farm.run(ONE)

    assert 0 == await farm.sweep(LEASE - 0.1)
    assert 1 == await farm.sweep(LATER)
    job = await farm.job(key.job_id)
    assert ("retrying", "platform_error", "worker_lost", 1) == (
        *(job.status, job.failure_reason, job.error_code, job.crashes),
    )
    assert AttemptKey(key.job_id, 2) == await farm.claim_one(OTHER, after=LATER + 300)


async def test_a_beating_worker_keeps_its_job(farm: Farmhand) -> None:
    """However long it takes."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    for after in range(10, 200, 10):
        await farm.beat(ONE, key, after=after)
        assert 0 == await farm.sweep(after)


async def test_a_job_that_loses_its_workers_again_and_again_is_poisoned(farm: Farmhand) -> None:
    """The third lost worker ends it (P5)."""
    [job] = await farm.submit(new_job())
    for n in range(3):
        await farm.run(ONE, after=n * 1000)
        assert 1 == await farm.sweep(n * 1000 + LATER)
    job = await farm.job(job.id)

    assert ("failed", "poisoned", "worker_crashes", 3) == (
        *(job.status, job.failure_reason, job.error_code, job.attempt),
    )
    assert [] == await farm.claim(ONE, after=10_000)


async def test_a_job_that_fails_again_and_again_ends(farm: Farmhand) -> None:
    """The third failure ends it, with the reason (P5)."""
    [job] = await farm.submit(new_job())
    for n in range(3):
        key = await farm.run(ONE, after=n * 1000)
        assert [True] == await farm.report(failed(key, ONE), after=n * 1000)
    job = await farm.job(job.id)

    assert ("failed", "network_error", "unreachable", 3) == (
        *(job.status, job.failure_reason, job.error_code, job.failures),
    )


async def test_bad_input_ends_the_job_at_once(farm: Farmhand) -> None:
    """Named, and never tried again (P9)."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.report(failed(key, ONE, BAD_INPUT))

    assert ("failed", "input_missing") == ((job := await farm.job(key.job_id)).status, job.error_code)
    assert [] == await farm.claim(ONE, after=10_000)


async def test_a_settled_job_is_never_encoded_again(farm: Farmhand) -> None:
    """Its worker is lost before the rename: no sweep touches it, and another node is told to publish."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.report(settled(key, ONE))

    assert [] == (await farm.beat(OTHER, after=LEASE - 1)).publish, "its worker may still be there"
    assert 0 == await farm.sweep(LATER)
    assert [] == await farm.claim(OTHER, after=LATER)
    [order] = (await farm.beat(OTHER, after=LATER)).publish
    asked = (await farm.job(key.job_id)).parameters.output
    assert (key, asked, result().sha256) == (order.key, order.output, order.sha256)
    assert [] == (await farm.beat(ONE, after=LATER)).publish, "one finisher at a time"
    assert [True] == await farm.report(published(key, OTHER), after=LATER)
    job = await farm.job(key.job_id)
    assert ("completed", 1, 1) == (job.status, job.attempt, job.winner)


async def test_a_finisher_that_is_lost_too_is_replaced(farm: Farmhand) -> None:
    """The order goes on to the next node until somebody has done it."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.report(settled(key, ONE))

    assert [key] == [order.key for order in (await farm.beat(OTHER, after=LATER)).publish]
    third = node_info("third")
    assert [] == (await farm.beat(third, after=LATER + 1)).publish
    assert [key] == [order.key for order in (await farm.beat(third, after=2 * LATER)).publish]


async def test_a_goodbye_gives_everything_back_at_once(farm: Farmhand) -> None:
    """What waits or runs is queued again at no cost; what is settled is published by the next that beats (P7)."""
    await farm.submit(*new_jobs(3))
    assigned, running, done = [grant.key for grant in await farm.claim(ONE)]
    await farm.report(started(running, ONE), started(done, ONE), settled(done, ONE))

    await farm.goodbye(ONE, after=1)

    assert ["queued", "queued", "running"] == [(await farm.job(key.job_id)).status for key in (assigned, running, done)]
    assert [0, 0, 0] == [(await farm.job(key.job_id)).crashes for key in (assigned, running, done)]
    assert [done] == [order.key for order in (await farm.beat(OTHER, after=1)).publish]
    assert 2 == len(await farm.claim(OTHER, after=1))


async def test_leases_can_be_voided_when_no_worker_can_be_alive(farm: Farmhand) -> None:
    """After the restart of a farm that is one process nothing waits for a lease."""
    await farm.submit(*new_jobs(2))
    await farm.claim(ONE)

    await farm.change(void_all_leases)

    assert 2 == await farm.sweep(0)


async def test_garbage_is_what_is_over_for_good(farm: Farmhand) -> None:
    """Folders of overtaken and ended attempts may go; what runs, waits to be published, or is not ours, stays."""
    old, new = await overtaken(farm)
    await farm.submit(*new_jobs(2))
    ended, unpublished = [grant.key for grant in await farm.claim(ONE)]
    await farm.report(started(ended, ONE), failed(ended, ONE, BAD_INPUT))
    await farm.report(started(unpublished, ONE), settled(unpublished, ONE))
    foreign = AttemptKey("another-farms-job", 1)

    asked = [old, new, ended, unpublished, foreign]
    assert [old, ended] == await farm.store.read(lambda tx: find_garbage(tx, asked))
    assert [] == await farm.store.read(lambda tx: find_garbage(tx, []))
    many = [AttemptKey(f"job-{n}", 1) for n in range(1200)] + [old]
    assert [old] == await farm.store.read(lambda tx: find_garbage(tx, many))
