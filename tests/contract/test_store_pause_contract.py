"""A paused job that its node goes on holding: its lease, what its worker still says of it, and how it goes on."""

from __future__ import annotations

import pytest

from reelmill.domain.attempt import AttemptKey, AttemptReport, Progress
from reelmill.domain.lifecycle import NotAllowed, Return
from reelmill.domain.stream import StreamProgress
from reelmill.store.attempts import GRANT_SECONDS, find_garbage, rebase_times, void_all_leases
from reelmill.store.nodes import list_nodes
from tests.farmhand import LATER, Farmhand
from tests.samples import (
    BAD_INPUT,
    LEASE,
    NETWORK_DOWN,
    NOW,
    failed,
    new_job,
    new_jobs,
    node_info,
    published,
    said,
    settled,
    started,
)

NODE, OTHER = node_info(), node_info("other")


async def pause_running(farm: Farmhand) -> AttemptKey:
    """The attempt at a job that was paused while it ran on NODE."""
    await farm.submit(new_job())
    key = await farm.run(NODE)
    await farm.act(key.job_id, "pause")
    return key


async def test_a_paused_running_job_is_held_and_renewed_and_told_of(farm: Farmhand) -> None:
    """Each beat renews its lease, as long as it takes, and says that it is to stand still; until it is resumed."""
    key = await pause_running(farm)
    for after in range(10, 100, 10):
        answer = await farm.beat(NODE, key, after=after)
        assert ([key], [key], []) == (answer.renewed, answer.paused, answer.drop)
        assert 0 == await farm.sweep(after)
    job = await farm.job(key.job_id)
    assert ("paused", NODE.id, NOW + 90 + LEASE) == (job.status, job.node_id, job.lease_until)

    await farm.act(key.job_id, "resume", after=95)
    answer = await farm.beat(NODE, key, after=100)

    assert ([key], []) == (answer.renewed, answer.paused)
    assert ("running", 1) == ((job := await farm.job(key.job_id)).status, job.attempt)


async def test_only_the_paused_of_a_nodes_jobs_are_to_stand_still(farm: Farmhand) -> None:
    """The others go on."""
    await farm.submit(*new_jobs(3))
    one, two, three = [grant.key for grant in await farm.claim(NODE)]
    await farm.report(*(started(key, NODE) for key in (one, two, three)))
    await farm.act(two.job_id, "pause")

    answer = await farm.beat(NODE, one, two, three)

    assert ({one, two, three}, [two]) == (set(answer.renewed), answer.paused)


async def test_a_paused_job_shows_how_far_it_is_and_no_pace(farm: Farmhand) -> None:
    """Also when a sign of life comes late that was sent while it ran."""
    key = await pause_running(farm)
    await farm.beat_with(NODE, [Progress(key, 41.5, 25.0, 1.5, 30.0, StreamProgress("sending"))], after=1)
    job = await farm.job(key.job_id)

    assert (41.5, None, None, None, None) == (job.progress, job.fps, job.speed, job.eta, job.stream)


async def test_a_paused_job_is_not_given_to_another_node(farm: Farmhand) -> None:
    """It stands where it is, and counts there."""
    await farm.beat(NODE)
    await pause_running(farm)

    assert [] == await farm.claim(OTHER)
    assert [1] == [node.running_jobs for node in await farm.store.read(lambda tx: list_nodes(tx, NOW))]


async def test_an_assigned_job_that_is_paused_is_taken_from_its_node(farm: Farmhand) -> None:
    """The node is told to drop it; its start comes too late; resumed it is given anew."""
    await farm.submit(new_job())
    key = await farm.claim_one(NODE)
    await farm.act(key.job_id, "pause")
    job = await farm.job(key.job_id)

    assert ("paused", None, None) == (job.status, job.node_id, job.lease_until)
    assert [False] == await farm.report(started(key, NODE))
    assert [key] == (await farm.beat(NODE, key)).drop
    await farm.act(key.job_id, "resume")
    assert AttemptKey(key.job_id, 2) == await farm.claim_one(OTHER)


async def test_a_paused_jobs_lost_worker_is_not_held_against_it(farm: Farmhand) -> None:
    """It stays paused, without a holder, until it is resumed; then it is queued and begins anew (P4)."""
    key = await pause_running(farm)

    assert 0 == await farm.sweep(LEASE - 1)
    assert 1 == await farm.sweep(LATER)
    assert 0 == await farm.sweep(LATER)
    job = await farm.job(key.job_id)
    assert ("paused", None, None, 0, 0.0) == (job.status, job.node_id, job.lease_until, job.crashes, job.progress)
    assert [] == await farm.claim(OTHER, after=LATER)
    assert [key] == (await farm.beat(NODE, key, after=LATER)).drop
    assert [False] == await farm.report(settled(key, NODE), after=LATER)

    await farm.act(key.job_id, "resume", after=LATER)
    assert AttemptKey(key.job_id, 2) == await farm.claim_one(OTHER, after=LATER)


async def test_an_engine_that_ended_before_the_word_arrived_has_won(farm: Farmhand) -> None:
    """What was encoded is not thrown away: the job is published as usual, and cannot be paused any more."""
    key = await pause_running(farm)

    assert [True, True] == await farm.report(settled(key, NODE), settled(key, NODE))
    assert ("running", 1) == ((job := await farm.job(key.job_id)).status, job.winner)
    with pytest.raises(NotAllowed, match="being published"):
        await farm.act(key.job_id, "pause")
    assert [True] == await farm.report(published(key, NODE))
    assert "completed" == (await farm.job(key.job_id)).status


async def test_a_late_start_of_a_job_paused_meanwhile_is_a_repeat(farm: Farmhand) -> None:
    """The answer to its first word was lost; a `no` would end an engine that is to stand still."""
    key = await pause_running(farm)
    before = await farm.job(key.job_id)

    assert [True] == await farm.report(started(key, NODE))
    assert before == await farm.job(key.job_id)


async def test_a_paused_job_that_is_canceled_is_dropped(farm: Farmhand) -> None:
    """Its node is told with the next beat at the latest."""
    key = await pause_running(farm)
    await farm.act(key.job_id, "cancel")

    answer = await farm.beat(NODE, key)
    assert ([key], [], []) == (answer.drop, answer.renewed, answer.paused)
    assert "canceled" == (await farm.job(key.job_id)).status


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (failed(AttemptKey("", 0), NODE, NETWORK_DOWN), "paused"),
        (failed(AttemptKey("", 0), NODE, BAD_INPUT), "failed"),
        (said(AttemptKey("", 0), NODE, Return("stopped")), "paused"),
    ],
)
async def test_what_ends_a_paused_attempt_leaves_the_job_paused_or_ends_it(
    farm: Farmhand, ended: AttemptReport, status: str
) -> None:
    """A try that would be repeated waits for its resume; a repeat of the word counts and changes nothing."""
    key = await pause_running(farm)
    report = said(key, NODE, ended.event)

    assert [True] == await farm.report(report)
    job = await farm.job(key.job_id)
    assert (status, None) == (job.status, job.lease_until)
    assert [True] == await farm.report(report, after=1)
    assert job == await farm.job(key.job_id)
    assert [] == await farm.claim(OTHER, after=600)


async def test_a_job_that_failed_while_paused_waits_for_its_retry_when_resumed(farm: Farmhand) -> None:
    """And runs again like any other."""
    key = await pause_running(farm)
    await farm.report(failed(key, NODE))
    await farm.act(key.job_id, "resume")

    assert "retrying" == (await farm.job(key.job_id)).status
    assert AttemptKey(key.job_id, 2) == await farm.claim_one(OTHER, after=600)


async def test_a_goodbye_or_an_unknowing_node_releases_its_paused_jobs(farm: Farmhand) -> None:
    """They stay paused, and nobody holds them."""
    for leave in (farm.goodbye(NODE, after=GRANT_SECONDS + 1), farm.beat(NODE, after=GRANT_SECONDS + 1)):
        key = await pause_running(farm)
        await leave
        job = await farm.job(key.job_id)
        assert ("paused", None, None) == (job.status, job.node_id, job.lease_until)


async def test_paused_leases_end_with_the_others(farm: Farmhand) -> None:
    """When no worker can be alive, and when the clock was set back."""
    key = await pause_running(farm)
    await farm.change(lambda tx, rules: rebase_times(tx, LEASE, 300.0, rules.now), after=-1000)
    assert NOW - 1000 + LEASE == (await farm.job(key.job_id)).lease_until

    await farm.change(void_all_leases)
    assert 1 == await farm.sweep(0)


async def test_a_clock_that_is_set_back_makes_no_grant_look_as_if_it_were_on_its_way(farm: Farmhand) -> None:
    """A node that does not know of a job is believed, and no crash is counted."""
    [job] = await farm.submit(new_job())
    await farm.run(NODE)
    await farm.change(lambda tx, rules: rebase_times(tx, LEASE, 300.0, rules.now), after=-1000)
    await farm.beat(NODE, after=-1000 + GRANT_SECONDS + 1)

    seen = await farm.job(job.id)
    assert ("queued", 0) == (seen.status, seen.crashes)


async def test_a_job_that_is_paused_while_the_clock_is_set_back_is_not_held_up_by_its_backoff(farm: Farmhand) -> None:
    """It waits, once it is resumed, no longer than the longest backoff."""
    [job] = await farm.submit(new_job())
    key = await farm.run(NODE)
    assert [True] == await farm.report(failed(key, NODE, NETWORK_DOWN))
    await farm.act(job.id, "pause")
    await farm.change(lambda tx, rules: rebase_times(tx, LEASE, 300.0, rules.now), after=-1000)
    await farm.act(job.id, "resume", after=-1000)

    assert [] == await farm.claim(NODE, after=-701)
    assert AttemptKey(job.id, 2) == await farm.claim_one(NODE, after=-700)


async def test_the_folder_of_a_paused_attempt_is_garbage_only_when_nobody_holds_it(farm: Farmhand) -> None:
    """While its engine stands still, its file is needed."""
    key = await pause_running(farm)
    assert [] == await farm.store.read(lambda tx: find_garbage(tx, [key]))
    await farm.sweep(LATER)
    assert [key] == await farm.store.read(lambda tx: find_garbage(tx, [key]))


async def test_the_history_tells_of_pauses(farm: Farmhand) -> None:
    """Each step, with the node on which the job stood."""
    key = await pause_running(farm)
    await farm.act(key.job_id, "resume")
    await farm.act(key.job_id, "pause")
    await farm.sweep(LATER)
    steps = (await farm.history(key.job_id))[2:]

    assert ["running", "paused", "running", "paused", "paused"] == [step.to_status for step in steps]
    assert [NODE.name] * 5 == [step.node_name for step in steps]
    assert [
        "engine started",
        "paused by a user",
        "resumed by a user",
        "paused by a user",
        "its worker stopped answering; it begins anew when it is resumed",
    ] == [step.reason for step in steps]
