"""Jobs that come one by one are stored together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from reelmill.domain.job import NewJob
from reelmill.errors import Conflict, NotFound
from reelmill.master import intake as module
from reelmill.master.intake import Intake
from reelmill.store.protocol import Tx
from reelmill.store.submit import Accepted, Answer, insert_jobs
from tests.samples import new_job
from tests.served import Served


async def test_many_single_jobs_share_few_commits_and_keep_their_order(served: Served) -> None:
    """While one commit is under way the others gather for the next; each caller still gets its own job."""
    intake = Intake(served.master.farm)
    commits: list[object] = []
    note = commits.append
    event.listen(Engine, "commit", note)
    jobs = [new_job() for _ in range(200)]

    answers = await asyncio.gather(*(intake.submit(job) for job in jobs))

    event.remove(Engine, "commit", note)
    stored = [answer.job for answer in answers if isinstance(answer, Accepted)]
    assert [job.id for job in jobs] == [job.id for job in stored]
    assert sorted(job.sequence_number for job in stored) == [job.sequence_number for job in stored]
    assert len(commits) < 20


async def test_a_key_used_twice_at_the_same_time_makes_one_job(served: Served) -> None:
    """The same body gets the same job, another body a conflict, also within one group."""
    intake = Intake(served.master.farm)
    first, same, other = (new_job(idempotency_key="k", priority=priority) for priority in ("low", "low", "high"))

    answers = await asyncio.gather(*(intake.submit(job) for job in (first, same, other)))

    assert [first.id, first.id] == [answer.job.id for answer in answers if isinstance(answer, Accepted)]
    assert isinstance(answers[2], Conflict)


async def test_a_job_that_the_store_cannot_take_fails_alone(served: Served) -> None:
    """What a check upstream let through by mistake costs its neighbours nothing."""
    intake = Intake(served.master.farm)
    good = [new_job() for _ in range(5)]
    bad = msgspec.structs.replace(good[0], id="bad", scenario=None)

    answers = await asyncio.gather(*(intake.submit(job) for job in [*good, bad]), return_exceptions=True)

    assert [job.id for job in good] == [answer.job.id for answer in answers if isinstance(answer, Accepted)]
    with pytest.raises(Exception, match="NOT NULL"):
        raise answers[-1] if isinstance(answers[-1], BaseException) else AssertionError(answers[-1])


async def test_a_job_that_is_refused_on_purpose_fails_alone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller hears why, whatever error of ours it is; its neighbours are stored."""
    refused = new_job(), new_job()
    reasons = dict(zip([job.id for job in refused], (NotFound("gone"), Conflict("taken")), strict=True))

    def insert_or_refuse(tx: Tx, jobs: Sequence[NewJob], now: float, *, max_queued: int | None) -> list[Answer]:
        for job in jobs:
            if job.id in reasons:
                raise reasons[job.id]
        return insert_jobs(tx, jobs, now, max_queued=max_queued)

    monkeypatch.setattr(module, "insert_jobs", insert_or_refuse)
    intake, good = Intake(served.master.farm), new_job()

    answers = await asyncio.gather(*(intake.submit(job) for job in (*refused, good)), return_exceptions=True)

    assert [reasons[refused[0].id], reasons[refused[1].id]] == answers[:2]
    assert isinstance(answers[2], Accepted)
