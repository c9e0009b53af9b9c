"""What attempts used that came to nothing is kept with their job: as their workers said it, else unknown."""

from __future__ import annotations

import msgspec
import pytest

from reelmill.domain.attempt import AttemptReport
from reelmill.domain.energy import LostAttempt, Spending
from reelmill.domain.failure import OUTPUT_LOST, Failure
from reelmill.domain.job import Job
from reelmill.domain.lifecycle import Fail, Return, Settle, Split
from reelmill.domain.loss import KEPT_LOST_ATTEMPTS
from tests.farmhand import LATER, Farmhand
from tests.samples import (
    BAD_INPUT,
    NETWORK_DOWN,
    PIECES,
    TOO_SLOW,
    new_job,
    node_info,
    published,
    result,
    said,
    settled,
    started,
)

ONE, OTHER = node_info("one"), node_info("other")
SPENT = Spending(energy_joules=12.5, energy_source="rapl", cost=0.25, cost_source="kwh", currency="EUR")
MORE = msgspec.structs.replace(SPENT, energy_joules=99.0)


def losses(job: Job) -> list[tuple[int, str, float | None, str | None]]:
    """Each lost attempt with its reason and its energy."""
    return [(lost.attempt, lost.reason, lost.energy_joules, lost.energy_source) for lost in job.lost_attempts]


@pytest.mark.parametrize(
    ("failure", "status"), [(BAD_INPUT, "failed"), (TOO_SLOW, "retrying"), (NETWORK_DOWN, "retrying")]
)
async def test_a_failed_attempt_keeps_what_it_used(farm: Farmhand, failure: Failure, status: str) -> None:
    """Once, however often the word comes; also when the job goes on."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    word = said(key, ONE, Fail(failure, SPENT))
    assert [True, True] == await farm.report(word, word)
    job = await farm.job(key.job_id)
    lost = LostAttempt(attempt=1, node_id=ONE.id, node_name="one", reason=failure.code, **msgspec.structs.asdict(SPENT))
    assert (status, (lost,)) == (job.status, job.lost_attempts)


async def test_an_attempt_whose_worker_was_lost_is_unmeasured_until_it_says_so_itself(farm: Farmhand) -> None:
    """No number, not 0. A worker that comes back says what was used; no other node does, and no second word."""
    await farm.submit(new_job())
    old = await farm.run(ONE)
    await farm.sweep(LATER)
    assert [(1, "worker_lost", None, None)] == losses(await farm.job(old.job_id))
    new = await farm.run(OTHER, after=LATER + 10)
    for node, spent in ((OTHER, MORE), (ONE, SPENT), (ONE, MORE)):
        assert [False] == await farm.report(said(old, node, Return("was taken away", spent)))
        known = node is ONE
        found = losses(await farm.job(old.job_id))
        assert [(1, "worker_lost", 12.5 if known else None, "rapl" if known else None)] == found
    assert [True, True] == await farm.report(settled(new, OTHER), published(new, OTHER))
    job = await farm.job(old.job_id)
    assert ("completed", 1) == (job.status, len(job.lost_attempts))


async def test_an_output_that_came_too_late_is_lost_work(farm: Farmhand) -> None:
    """The word that would have settled the job says what was used."""
    await farm.submit(new_job())
    old = await farm.run(ONE)
    await farm.sweep(LATER)
    late = msgspec.structs.replace(result(), **msgspec.structs.asdict(SPENT))
    assert [False] == await farm.report(said(old, ONE, Settle(late)))
    job = await farm.job(old.job_id)
    assert ("retrying", None, [(1, "worker_lost", 12.5, "rapl")]) == (job.status, job.result, losses(job))


async def test_a_canceled_attempt_says_afterwards_what_it_used(farm: Farmhand) -> None:
    """Its engine is killed after the cancel was answered; a retry does not forget it."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    await farm.act(key.job_id, "cancel")
    assert [(1, "canceled", None, None)] == losses(await farm.job(key.job_id))
    await farm.report(said(key, ONE, Return("was taken away", SPENT)))
    await farm.act(key.job_id, "retry")
    job = await farm.job(key.job_id)
    assert ("queued", [(1, "canceled", 12.5, "rapl")]) == (job.status, losses(job))


async def test_a_late_word_takes_nothing_from_a_job_that_waits(farm: Farmhand) -> None:
    """A retry that is due stays ready, and its history has no step more."""
    await farm.submit(new_job())
    old = await farm.run(ONE)
    await farm.sweep(LATER)
    cannot = node_info("small", engines={"ffmpeg": ["vp9"]})
    assert [] == await farm.claim(cannot, after=LATER + 1000)  # what is due is made ready
    before = await farm.history(old.job_id)
    await farm.report(said(old, ONE, Return("was taken away", SPENT)), after=LATER + 1000)
    assert before == await farm.history(old.job_id)
    assert 2 == (await farm.claim_one(OTHER, after=LATER + 1000)).attempt


async def test_what_never_ran_used_nothing_and_what_won_is_not_lost(farm: Farmhand) -> None:
    """A grant that did not arrive, or is given back before the engine started; a job that waits and is canceled."""
    [job] = await farm.submit(new_job())
    key = await farm.claim_one(ONE)
    await farm.report(said(key, ONE, Return("stopped")))
    key = await farm.claim_one(ONE)
    await farm.report(started(key, ONE), settled(key, ONE), published(key, ONE))
    assert () == (await farm.job(job.id)).lost_attempts
    [waiting] = await farm.submit(new_job())
    await farm.act(waiting.id, "cancel")
    assert () == (await farm.job(waiting.id)).lost_attempts


async def test_a_worker_that_stops_says_what_was_begun(farm: Farmhand) -> None:
    """The job goes on elsewhere, from the beginning."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    assert [True] == await farm.report(said(key, ONE, Return("stopped", SPENT)))
    assert [(1, "returned", 12.5, "rapl")] == losses(await farm.job(key.job_id))


async def test_a_settled_output_that_is_gone_is_lost_work(farm: Farmhand) -> None:
    """Its result, which had the figures, is taken back."""
    await farm.submit(new_job())
    key = await farm.run(ONE)
    made = msgspec.structs.replace(result(), **msgspec.structs.asdict(SPENT))
    gone = Failure("platform_error", OUTPUT_LOST, "The output is gone.")
    assert [True] == await farm.report(said(key, ONE, Settle(made)))
    assert [True] == await farm.report(said(key, ONE, Fail(gone)))
    job = await farm.job(key.job_id)
    assert (None, [(1, OUTPUT_LOST, 12.5, "rapl")]) == (job.result, losses(job))


async def test_what_a_join_says_of_its_chunks_is_not_lost_with_it(farm: Farmhand) -> None:
    """The next join is made of the same chunks, and says it again: here it is unmeasured."""
    await farm.submit(new_job())
    key = await farm.claim_one(ONE)
    await farm.report(said(key, ONE, Split(PIECES)))
    made = msgspec.structs.replace(result(), **msgspec.structs.asdict(SPENT))
    for piece in [grant.key for grant in await farm.claim(ONE)]:
        await farm.report(started(piece, ONE), said(piece, ONE, Settle(made)), published(piece, ONE))
    join = await farm.run(ONE)
    await farm.report(said(join, ONE, Settle(made)))
    gone = Failure("platform_error", OUTPUT_LOST, "The output is gone.")
    await farm.report(said(join, ONE, Fail(gone)))
    job = await farm.job(key.job_id)
    assert job.chunk_plan is not None
    assert job.chunk_plan.spent is not None
    assert (25.0, [(2, OUTPUT_LOST, None, None)]) == (job.chunk_plan.spent.energy_joules, losses(job))


async def test_the_newest_lost_attempts_are_kept(farm: Farmhand) -> None:
    """A job may be given back for ever."""
    [job] = await farm.submit(new_job())
    for _ in range(KEPT_LOST_ATTEMPTS + 2):
        word: AttemptReport = said(await farm.run(ONE), ONE, Return("stopped", SPENT))
        await farm.report(word)
    found = [lost.attempt for lost in (await farm.job(job.id)).lost_attempts]
    assert list(range(3, KEPT_LOST_ATTEMPTS + 3)) == found
