"""Breaks of what protects a farm from faults; nearly all need a real farm under a real fault, as in tests/chaos."""

from __future__ import annotations

from tests.breaks.broken import Break


def _fault(name: str, file: str, old: str, new: str, tests: str, caught_by: str) -> Break:
    """A break that one suite of tests/chaos catches."""
    return Break(name, f"src/reelmill/{file}.py", old, new, (f"tests/chaos/{tests}.py", "-k", caught_by), caught_by)


FAULTS = [
    _fault(
        "a frozen master's transaction stays open",
        "store/postgres",
        "            connection.execute(_PATIENCE)\n",
        "",
        "test_frozen_farm",
        "test_what_a_frozen_farm_does_when_it_wakes_changes_nothing",
    ),
    Break(
        "a worker ends nothing when its lease is over",
        "src/reelmill/worker/held.py",
        'log.warning("lease_not_renewed", job=key.job_id, attempt=key.attempt)\n            self.task.cancel()',
        'log.warning("lease_not_renewed", job=key.job_id, attempt=key.attempt)',
        ("tests/integration/farm/test_stopping_and_losing.py", "-k", "cannot_renew"),
        "test_a_worker_that_cannot_renew_ends_its_engine_before_the_lease_is_over",
    ),
    _fault(
        "a failed fsync is one more refused commit",
        "store/sqlite",
        "        if code in _FATAL:\n",
        "        if False:\n",
        "test_failing_calls",
        "test_a_failed_sync_ends_the_farm_and_the_next_start_has_all_that_was_accepted",
    ),
    _fault(
        "what nobody can read ends what it tells of",
        "logs",
        "        with contextlib.suppress(OSError):\n            sys.stderr.write(text)\n",
        "        sys.stderr.write(text)\n",
        "test_full_disks",
        "test_a_log_that_cannot_be_written_stops_no_work",
    ),
    _fault(
        "a clock that is set ends leases",
        "master/reaper",
        "            self._not_before = loop_now + self._farm.lease_seconds\n",
        "",
        "test_clock_steps",
        "test_a_clock_that_is_set_takes_no_job_from_its_worker",
    ),
    _fault(
        "an engine that hangs is left alone",
        "worker/process",
        '                    self._end("hung")\n',
        "                    pass\n",
        "test_bad_engines",
        "test_an_engine_that_says_nothing_is_ended_and_named_and_the_job_tried_again",
    ),
    _fault(
        "engines outlive their farm",
        "worker/process",
        "    if setpriv is None:\n",
        "    if setpriv:\n",
        "test_kills",
        "test_kills_of_a_farm_its_engines_and_its_probe_lose_nothing",
    ),
    _fault(
        "all retries come at once",
        "domain/retry",
        "        return rng.uniform(0, ceiling)\n",
        "        return ceiling\n",
        "test_many_failures",
        "test_ten_thousand_jobs_that_fail_at_once_are_spread_and_the_api_answers",
    ),
    Break(
        "a worker lost before its engine was heard of is no crash",
        "src/reelmill/domain/lifecycle.py",
        "    # An assigned job counts too: its engine may have killed the worker before anyone heard of it.\n",
        '    if job.status == "assigned":\n        return _ended_attempt(job, WORKER_LOST, True, now, policy, rng)\n',
        ("tests/unit/domain/test_lifecycle.py",),
        "test_a_job_that_kills_its_workers_before_they_can_say_that_it_runs_is_poisoned_too",
    ),
]
