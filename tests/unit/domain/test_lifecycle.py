"""What may follow what: the whole table, and what holds along every path through it."""

from __future__ import annotations

import itertools
import random
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelmill.domain.failure import FAILURE_REASONS, OUTPUT_LOST, RETRYABLE, Failure
from reelmill.domain.job import ACTIVE, STATUSES, TERMINAL, Job, Parameters, Status
from reelmill.domain.lifecycle import (
    TRANSITIONS,
    Assign,
    Cancel,
    ChunkDone,
    ChunkFailed,
    Event,
    Fail,
    Lose,
    NotAllowed,
    Pause,
    Publish,
    Resume,
    Retry,
    Return,
    Settle,
    Split,
    Start,
    advance,
)
from reelmill.domain.retry import RetryPolicy
from reelmill.domain.stream import StreamProgress
from reelmill.domain.stream_url import without_key
from tests.samples import BAD_INPUT, NETWORK_DOWN, NOW, PIECES, POLICY, TOO_SLOW, job_in, result, stored_job

EVENTS: tuple[Event, ...] = (
    Assign("n1", "mill-1", NOW + 30),
    Start(),
    Settle(result()),
    Publish(),
    Fail(NETWORK_DOWN),
    Fail(BAD_INPUT),
    Fail(TOO_SLOW),
    Lose(),
    Return("the worker was stopped"),
    Split(PIECES),
    ChunkDone(PIECES[0], result()),
    ChunkFailed(BAD_INPUT),
    ChunkFailed(TOO_SLOW),
    Cancel(),
    Pause(),
    Resume(),
    Retry(),
)
SETTLED_MAY = (Publish, Fail)
RNG = random.Random(3)


def standing_job(**fields: object) -> Job:
    """A job whose engine stands still on its node."""
    return advance(
        job_in("running", progress=40.0, fps=25.0, speed=1.5, eta=9.0, stream=StreamProgress("sending"), **fields),
        Pause(),
        NOW,
        POLICY,
        RNG,
    ).job


def test_every_kind_of_event_is_judged() -> None:
    """A new event cannot be forgotten here or in the table."""
    kinds = set(get_args(Event))

    assert kinds == {type(event) for event in EVENTS}
    assert kinds == {kind for _, kind in TRANSITIONS}


@pytest.mark.parametrize(("status", "event"), list(itertools.product(STATUSES, EVENTS)))
def test_an_event_leads_where_the_table_says_or_is_not_allowed(status: Status, event: Event) -> None:
    """For each status and event: one of the table's outcomes, or NotAllowed; never anything else."""
    job = job_in(status)
    allowed = TRANSITIONS.get((status, type(event)))
    nobody = status == "paused" and isinstance(event, Settle | Fail | Lose | Return)
    # only a settled job can be published, and only one that was split has chunks
    if allowed is None or nobody or isinstance(event, Publish | ChunkDone | ChunkFailed):
        with pytest.raises(NotAllowed) as caught:
            advance(job, event, NOW, POLICY, RNG)
        assert status == caught.value.status
    else:
        assert advance(job, event, NOW, POLICY, RNG).job.status in allowed


@pytest.mark.parametrize("event", EVENTS)
def test_a_settled_job_can_only_be_published_or_fail(event: Event) -> None:
    """The winner is decided: no cancel, loss or return takes it back (P3)."""
    job = job_in("running", winner=1, result=result())
    if isinstance(event, SETTLED_MAY):
        assert advance(job, event, NOW, POLICY, RNG).job.status in {"completed", "failed", "running"}
    else:
        with pytest.raises(NotAllowed, match="being published"):
            advance(job, event, NOW, POLICY, RNG)


def test_a_hiccup_while_publishing_costs_no_encoding() -> None:
    """The output is verified and safe: its publication is tried again after a backoff, with the same winner."""
    settled = job_in("running", winner=1, result=result())
    after = advance(settled, Fail(NETWORK_DOWN), NOW, POLICY, RNG).job

    assert ("running", 1, result(), 1) == (after.status, after.winner, after.result, after.failures)
    assert after.lease_until is not None
    assert NOW <= after.lease_until <= NOW + POLICY.base_seconds


def test_publishing_is_not_tried_for_ever() -> None:
    """P5: the limit of failures counts here too."""
    settled = job_in("running", winner=1, result=result(), failures=POLICY.max_failures - 1)
    after = advance(settled, Fail(NETWORK_DOWN), NOW, POLICY, RNG).job

    assert ("failed", None, None) == (after.status, after.winner, after.result)


def test_a_settled_job_whose_output_is_gone_is_encoded_again() -> None:
    """Only then: its next attempt may win."""
    lost = Failure("platform_error", OUTPUT_LOST, "The encoded file is gone.")
    after = advance(job_in("running", winner=1, result=result()), Fail(lost), NOW, POLICY, RNG).job

    assert ("retrying", None, None) == (after.status, after.winner, after.result)


def test_settling_makes_the_attempt_the_winner_and_publishing_completes_it() -> None:
    """`completed` has the winner's result and a time."""
    won = advance(job_in("running", attempt=4), Settle(result()), NOW, POLICY, RNG).job
    done = advance(won, Publish(), NOW + 1, POLICY, RNG).job

    assert (4, result(), "running", 100.0) == (won.winner, won.result, won.status, won.progress)
    assert ("completed", NOW + 1, None) == (done.status, done.completed_at, done.lease_until)


def test_a_completed_job_carries_no_error_of_an_earlier_try() -> None:
    """What went wrong on the way is in the history; the job itself went well."""
    job = job_in("running", winner=1, result=result(), failure_reason="network_error", error_code="x", error="y")

    done = advance(job, Publish(), NOW, POLICY, RNG).job

    assert (None, None, None) == (done.failure_reason, done.error_code, done.error)


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_only_reasons_that_a_try_may_cure_are_tried_again(reason: str) -> None:
    """A user's mistake and bad input end the job at the first try, with the reason (P9)."""
    failure = Failure(reason, "code", "sentence")  # type: ignore[arg-type]
    after = advance(job_in("running"), Fail(failure), NOW, POLICY, RNG).job

    expected = "retrying" if reason in RETRYABLE else "failed"
    assert (expected, reason, "code", "sentence") == (after.status, after.failure_reason, after.error_code, after.error)


@pytest.mark.parametrize(("failure", "end"), [(NETWORK_DOWN, "failed"), (TOO_SLOW, "timed_out")])
def test_tries_end_at_the_failure_limit(failure: Failure, end: str) -> None:
    """The third of three failures ends the job (P5)."""
    statuses: list[str] = []
    job = job_in("assigned")
    for _ in range(3):
        job = advance(job, Fail(failure), NOW, POLICY, RNG).job
        statuses.append(job.status)
        if job.status == "retrying":
            job = advance(job, Assign("n1", "mill-1", NOW + 30), NOW, POLICY, RNG).job

    assert ["retrying", "retrying", end] == statuses
    assert (3, NOW) == (job.failures, job.completed_at)


def test_a_job_that_kills_its_workers_is_poisoned_at_the_crash_limit() -> None:
    """The third lost worker ends it, and failures are counted apart (P5)."""
    job = job_in("running", failures=2)
    for _ in range(2):
        job = advance(job, Lose(), NOW, POLICY, RNG).job
        assert ("retrying", "worker_lost") == (job.status, job.error_code)
        job = advance(job, Assign("n2", "mill-2", NOW + 30), NOW, POLICY, RNG).job
        job = advance(job, Start(), NOW, POLICY, RNG).job
    job = advance(job, Lose(), NOW, POLICY, RNG).job

    assert ("failed", "poisoned", "worker_crashes") == (job.status, job.failure_reason, job.error_code)
    assert (3, 2) == (job.crashes, job.failures)


def test_a_job_that_kills_its_workers_before_they_can_say_that_it_runs_is_poisoned_too() -> None:
    """Tries end (P5), also those of which nobody heard more than that a worker had them."""
    job = job_in("queued", crashes=POLICY.max_crashes - 1)
    job = advance(job, Assign("n2", "mill-2", NOW + 30), NOW, POLICY, RNG).job
    after = advance(job, Lose(), NOW, POLICY, RNG).job

    assert ("failed", "worker_crashes", POLICY.max_crashes) == (after.status, after.error_code, after.crashes)


def test_a_returned_attempt_costs_no_try() -> None:
    """Stopping a worker is nobody's fault: the job waits again, at once."""
    after = advance(job_in("running", failures=2, crashes=2), Return("stopped"), NOW, POLICY, RNG).job

    assert ("queued", 2, 2, None, None) == (
        after.status,
        after.failures,
        after.crashes,
        after.node_id,
        after.lease_until,
    )


def test_a_paused_running_job_stays_on_its_node_and_has_no_pace() -> None:
    """Its lease, its node and how far it is are kept; what says how fast it goes is not."""
    running, after = job_in("running"), standing_job()

    assert ("paused", True) == (after.status, after.is_held)
    assert (running.node_id, running.lease_until, running.attempt) == (after.node_id, after.lease_until, after.attempt)
    assert (40.0, None, None, None, None) == (after.progress, after.fps, after.speed, after.eta, after.stream)


def test_a_paused_assigned_job_is_taken_from_its_node() -> None:
    """Nothing ran yet that would be worth to be kept."""
    after = advance(job_in("assigned"), Pause(), NOW, POLICY, RNG).job

    assert ("paused", False, None) == (after.status, after.is_held, after.node_id)


PAUSED_OUTCOMES: dict[Event, tuple[Status, bool]] = {
    Resume(): ("running", True),
    Settle(result()): ("running", True),
    Cancel(): ("canceled", False),
    Lose(): ("paused", False),
    Return("the worker was stopped"): ("paused", False),
    Fail(NETWORK_DOWN): ("paused", False),
    Fail(BAD_INPUT): ("failed", False),
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_job_that_stands_still_on_a_node_has_its_own_outcomes(event: Event) -> None:
    """What would go on by itself stays paused; what the engine had done before counts."""
    job = standing_job()
    expected = PAUSED_OUTCOMES.get(event)
    if isinstance(event, Fail) and event.failure == TOO_SLOW:
        expected = ("paused", False)
    if expected is None:
        with pytest.raises(NotAllowed, match="the job is paused"):
            advance(job, event, NOW, POLICY, RNG)
        return
    after = advance(job, event, NOW, POLICY, RNG).job

    assert expected == (after.status, after.is_held)
    assert (1 if isinstance(event, Settle) else None) == after.winner
    assert 0 == after.crashes


def test_a_job_that_failed_while_it_was_paused_keeps_its_backoff() -> None:
    """Resumed in time it still waits for its retry, with the reason; resumed later it is queued."""
    after = advance(standing_job(), Fail(NETWORK_DOWN), NOW, POLICY, RNG).job

    assert after.eligible_at is not None
    assert (1, NETWORK_DOWN.code) == (after.failures, after.error_code)
    assert "retrying" == advance(after, Resume(), after.eligible_at - 0.1, POLICY, RNG).job.status
    assert "queued" == advance(after, Resume(), after.eligible_at, POLICY, RNG).job.status


def test_a_job_that_fails_for_the_last_time_while_it_was_paused_has_ended() -> None:
    """A pause is no way around the limits (P5)."""
    after = advance(standing_job(failures=POLICY.max_failures - 1), Fail(TOO_SLOW), NOW, POLICY, RNG).job

    assert ("timed_out", NOW) == (after.status, after.completed_at)


@pytest.mark.parametrize(("eligible_at", "expected"), [(None, "queued"), (NOW - 1, "queued"), (NOW + 5, "retrying")])
def test_a_resumed_job_still_waits_for_its_backoff(eligible_at: float | None, expected: str) -> None:
    """Pause and resume is no way around it."""
    assert expected == advance(job_in("paused", eligible_at=eligible_at), Resume(), NOW, POLICY, RNG).job.status


@pytest.mark.parametrize("status", ["failed", "canceled", "timed_out"])
def test_a_retried_job_has_all_its_tries_again_but_not_its_tokens(status: Status) -> None:
    """Failures and crashes begin anew; the attempt does not, or a late worker could pass for the new one."""
    ended = job_in(status, attempt=5, failures=3, crashes=2, failure_reason="timeout", error_code="x", error="y")
    after = advance(ended, Retry(), NOW, POLICY, RNG).job

    assert ("queued", 5, 0, 0) == (after.status, after.attempt, after.failures, after.crashes)
    assert (None, None, None, None) == (after.completed_at, after.failure_reason, after.error_code, after.error)


def test_an_assignment_begins_afresh() -> None:
    """Nothing of the last attempt is shown as if it were of this one."""
    job = stored_job(status="retrying", attempt=2, eligible_at=NOW, progress=40.0, fps=9.0, speed=1.0, started_at=NOW)
    after = advance(job, Assign("n7", "mill-7", NOW + 30), NOW, POLICY, RNG).job

    assert (3, "n7", "mill-7", NOW + 30, NOW) == (
        *(after.attempt, after.node_id, after.node_name, after.lease_until, after.assigned_at),
    )
    assert (0.0, None, None, None, None) == (
        *(after.progress, after.fps, after.speed, after.started_at, after.eligible_at),
    )


policies = st.builds(
    RetryPolicy, max_failures=st.integers(1, 4), max_crashes=st.integers(1, 4), base_seconds=st.floats(0, 10)
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(EVENTS), max_size=40), policies, st.integers(0, 99))
def test_whatever_happens_these_hold(events: list[Event], policy: RetryPolicy, seed: int) -> None:
    """Along any sequence of events: attempts rise only by assignment, ends have a time, limits are kept."""
    job = stored_job()
    now = NOW
    for event in events:
        now += 1
        before = job
        try:
            job, reason = advance(job, event, now, policy, random.Random(seed))
        except NotAllowed:
            continue
        assert job.status in TRANSITIONS[before.status, type(event)]
        assert reason
        assert before.attempt + isinstance(event, Assign) == job.attempt
        assert (job.status in TERMINAL) == (job.completed_at is not None)
        assert job.is_held or job.status not in ACTIVE
        assert not job.is_held or (job.status in ACTIVE | {"paused"} and job.node_id is not None)
        assert job.failures <= policy.max_failures
        assert job.crashes <= policy.max_crashes
        if job.failures == policy.max_failures or job.crashes == policy.max_crashes:
            assert job.status in {"failed", "timed_out"}
        if job.status == "completed":
            assert job.winner == job.attempt
            assert job.result is not None
        if job.status == "failed":
            assert job.failure_reason is not None
        if job.status == "retrying":
            assert job.eligible_at is not None
            if isinstance(event, Fail | Lose):
                assert now <= job.eligible_at <= now + policy.cap_seconds
        if job.winner is not None:
            assert job.status in {"running", "completed"}


URL = "rtmp://host/app/key"
STREAMED = Parameters(output_mode="rtmp", rtmp_url=URL, bitrate=1_000_000)


@pytest.mark.parametrize(
    "job", [job_in("running", parameters=STREAMED), standing_job(parameters=STREAMED)], ids=["running", "paused"]
)
def test_a_stream_leaves_nothing_to_publish_and_is_completed_when_it_is_settled(job: Job) -> None:
    sent = msgspec.structs.replace(result("rtmp://host/app/***"), sha256=None, stream=StreamProgress("sending"))
    ended = advance(job, Settle(sent), NOW + 5, POLICY, RNG).job

    assert ("completed", job.attempt, sent, NOW + 5) == (ended.status, ended.winner, ended.result, ended.completed_at)
    assert not ended.is_held


def test_an_output_goes_where_the_job_says() -> None:
    """A worker that names another place, or calls a file a stream so that nothing is published, is not believed."""
    settled = advance(job_in("running"), Settle(result("films/of-others.mp4")), NOW, POLICY, RNG).job
    assert settled.result is not None
    assert settled.parameters.output == settled.result.output
    sent = msgspec.structs.replace(result(URL), sha256=None, stream=StreamProgress("sending"))
    streamed = advance(job_in("running", parameters=STREAMED), Settle(sent), NOW, POLICY, RNG).job
    assert streamed.result is not None
    assert without_key(URL) == streamed.result.output
    for job, said in ((job_in("running"), sent), (job_in("running", parameters=STREAMED), result())):
        with pytest.raises(NotAllowed):
            advance(job, Settle(said), NOW, POLICY, RNG)
