"""What ended long ago is forgotten, exactly that, and no job's history grows for ever."""

from __future__ import annotations

from sqlalchemy import func, select

from reelmill.domain.attempt import AttemptLog
from reelmill.domain.job import NewJob
from reelmill.domain.lifecycle import Fail
from reelmill.store.control import act
from reelmill.store.counts import CountKey, read_counts, read_launch_counts
from reelmill.store.launches import list_launches
from reelmill.store.listing import JobFilter, get_job, read_logs
from reelmill.store.protocol import Tx
from reelmill.store.retention import (
    KEPT_LOGS,
    KEPT_TRANSITIONS,
    find_long,
    next_number,
    prune_ended,
    trim,
)
from reelmill.store.schema import history, launch_counts, logs
from reelmill.store.submit import Accepted, ensure_launch, insert_jobs
from reelmill.store.transition import Rules
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, NOW, failed, new_job, new_jobs, node_info, said, started

NODE = node_info(units=1)
DAY = 86_400.0


async def prune(farm: Farmhand, before: float, most: int = 1000) -> int:
    """How many jobs were forgotten that ended before that moment, in seconds from NOW."""
    return await farm.store.write(lambda tx: prune_ended(tx, NOW + before, most))


async def count_rows(farm: Farmhand) -> dict[str, int]:
    """Rows of the tables that hang on jobs."""

    def count(tx: Tx) -> dict[str, int]:
        tables = (history, logs, launch_counts)
        return {table.name: tx.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}

    return await farm.store.read(count)


async def end_one(farm: Farmhand, after: float) -> None:
    """The next job fails, and leaves a log."""
    key = await farm.run(NODE, after=after)
    assert [True] == await farm.report(said(key, NODE, Fail(BAD_INPUT), AttemptLog("ffmpeg", "no")), after=after)


async def test_exactly_the_jobs_that_ended_before_are_forgotten(farm: Farmhand) -> None:
    """With their history and logs, and with none of anybody else's."""
    await farm.submit(*new_jobs(5))
    for after in (10.0, 20.0, 30.0):
        await end_one(farm, after)
    running = await farm.run(NODE, after=40.0)

    assert 2 == await prune(farm, 30.0)
    left = await farm.jobs()
    assert [("failed", 3), ("running", 4), ("queued", 5)] == [(job.status, job.sequence_number) for job in left]
    assert {"history": 3 + 2, "logs": 1, "launch_counts": 0} == await count_rows(farm)
    assert 4 == len(await farm.history("3"))
    assert 0 == await prune(farm, 30.0)
    assert 1 == await prune(farm, DAY)
    assert running.job_id in [job.id for job in await farm.jobs()], "what has not ended is kept however old it is"


async def test_the_oldest_go_first_and_no_more_than_asked_for(farm: Farmhand) -> None:
    """By the time at which they ended, not at which they came."""
    first, second, third = await farm.submit(*new_jobs(3))
    for job, after in ((second, 1.0), (third, 2.0), (first, 3.0)):
        await farm.act(job.id, "cancel", after=after)

    assert 2 == await prune(farm, DAY, most=2)
    assert [first.id] == [job.id for job in await farm.jobs()]


async def test_counts_are_those_of_the_rows_that_are_left(farm: Farmhand) -> None:
    """Of the farm and of each launch; a launch that has no jobs any more is gone, one with a job stays."""
    await farm.submit(new_job(priority="high"), new_job("720p30-h264"), launch="old", after=-9.0)
    await farm.submit(new_job(), new_job(), launch="mixed", after=-5.0)
    await farm.submit(new_job())
    for job in (await farm.jobs(JobFilter(launch=["old", "mixed"])))[:3]:
        await farm.act(job.id, "cancel", after=1.0)

    assert 3 == await prune(farm, DAY)
    counted = {key: n for key, n in (await farm.store.read(read_counts)).items() if n}
    assert {CountKey("queued", "default", "medium", "480p30-h264"): 2} == counted
    assert ["mixed"] == [launch.id for launch in await farm.store.read(lambda tx: list_launches(tx, 10))]
    by_launch = await farm.store.read(lambda tx: read_launch_counts(tx, ["old", "mixed"]))
    assert {"old": {}, "mixed": {"queued": 1}} == by_launch

    [again] = await farm.submit(new_job(), launch="old", after=DAY)
    assert "old" == again.launch_id


async def test_a_launch_that_is_emptied_and_used_again_in_one_commit_is_counted(farm: Farmhand) -> None:
    """As many callers share a commit: its old job is pruned, a new one comes and is canceled."""
    [old] = await farm.submit(new_job(), launch="l")
    await farm.act(old.id, "cancel")
    new = new_job()

    def work(tx: Tx, rules: Rules) -> int:
        pruned = prune_ended(tx, NOW + 1, 10)
        ensure_launch(tx, "l", None, rules.now)
        insert_jobs(tx, [new], rules.now, "l")
        act(tx, new.id, "cancel", rules)
        return pruned

    assert 1 == await farm.change(work, after=DAY)
    by_launch = await farm.store.read(lambda tx: read_launch_counts(tx, ["l"]))
    assert {"l": {"canceled": 1}} == by_launch
    assert {"canceled": 1} == {key.status: n for key, n in (await farm.store.read(read_counts)).items()}


async def test_a_key_may_be_used_again_when_its_job_is_forgotten(farm: Farmhand) -> None:
    """Before, it answers with the job that it belongs to."""

    def asked() -> NewJob:
        return new_job(idempotency_key="once")

    [first] = await farm.submit(asked())
    await farm.act(first.id, "cancel")
    [repeat] = await farm.offer_jobs(asked())
    assert Accepted(await farm.job(first.id), created=False) == repeat
    assert 1 == await prune(farm, DAY)
    [again] = await farm.offer_jobs(asked())
    assert isinstance(again, Accepted)
    assert again.created
    assert again.job.sequence_number > first.sequence_number


async def test_a_report_about_a_forgotten_job_is_stale(farm: Farmhand) -> None:
    """A worker that was away for a month changes nothing."""
    [job] = await farm.submit(new_job())
    key = await farm.run(NODE)
    await farm.act(job.id, "cancel")
    assert 1 == await prune(farm, DAY)
    assert [False, False] == await farm.report(started(key, NODE), failed(key, NODE), after=DAY)
    assert [key] == (await farm.beat(NODE, key, after=DAY)).drop
    assert {"history": 0, "logs": 0, "launch_counts": 0} == await count_rows(farm)


async def test_a_job_that_is_retried_is_not_old(farm: Farmhand) -> None:
    """It counts from its last end."""
    [job] = await farm.submit(new_job())
    await farm.act(job.id, "cancel")
    await farm.act(job.id, "retry", after=DAY)
    assert 0 == await prune(farm, 2 * DAY)
    await farm.act(job.id, "cancel", after=3 * DAY)
    assert 0 == await prune(farm, 2 * DAY)
    assert 1 == await prune(farm, 4 * DAY)
    assert await farm.store.read(lambda tx: get_job(tx, job.id)) is None


async def test_the_history_and_logs_of_a_job_are_bounded(farm: Farmhand) -> None:
    """The newest are kept and shown; other jobs keep what they have."""
    other, job = await farm.submit(new_job(), new_job())
    await farm.act(other.id, "cancel")
    rounds = KEPT_TRANSITIONS // 4 + 1
    for after in range(rounds):
        key = await farm.run(NODE, after=float(after))
        log = AttemptLog("ffmpeg", f"try {after}")
        assert [True] == await farm.report(said(key, NODE, Fail(BAD_INPUT), log), after=float(after))
        await farm.act(job.id, "retry", after=float(after))

    assert [job.sequence_number] == await farm.store.read(lambda tx: find_long(tx, 1, job.sequence_number))
    shown = await farm.history(job.id)
    gone = 4 + rounds - KEPT_LOGS
    assert gone == await farm.store.write(lambda tx: trim(tx, job.sequence_number))
    assert {"history": KEPT_TRANSITIONS + 1, "logs": KEPT_LOGS, "launch_counts": 0} == await count_rows(farm)
    assert shown == await farm.history(job.id)
    assert (KEPT_TRANSITIONS + 1, "submitted", "retried by a user") == (len(shown), shown[0].reason, shown[-1].reason)
    texts = [entry.text for entry in await farm.store.read(lambda tx: read_logs(tx, job))]
    assert [f"try {after}" for after in range(rounds - KEPT_LOGS, rounds)] == texts

    assert 0 == await farm.store.write(lambda tx: trim(tx, job.sequence_number))
    assert [] == await farm.store.read(lambda tx: find_long(tx, 1, job.sequence_number))


async def test_a_farm_without_jobs_has_no_numbers(farm: Farmhand) -> None:
    """Nothing to look at is no mistake."""
    assert await farm.store.read(lambda tx: next_number(tx, 0)) is None
    assert 0 == await prune(farm, DAY)
