"""The breaks: which text is replaced by which, which tests are run then, and which of them must go red."""

from __future__ import annotations

from tests.breaks.broken import Break
from tests.breaks.faults import FAULTS
from tests.breaks.fleet import FLEET
from tests.breaks.losses import LOSSES
from tests.breaks.outputs import OUTPUTS
from tests.breaks.simulated import SIMULATED
from tests.breaks.worker import WORKER

CONTRACT = "tests/contract/test_store_{}_contract.py"
SQLITE = ("-k", "sqlite-memory")


def _store(name: str, file: str, old: str, new: str, suite: str, caught_by: str) -> Break:
    """A break of a file of the store that a contract suite catches on SQLite."""
    return Break(name, f"src/reelmill/store/{file}.py", old, new, (CONTRACT.format(suite), *SQLITE), caught_by)


def _rule(name: str, old: str, new: str, suite: str, caught_by: str) -> Break:
    """A break of the life of a job."""
    return Break(name, "src/reelmill/domain/lifecycle.py", old, new, (CONTRACT.format(suite), *SQLITE), caught_by)


def _postgres(name: str, file: str, old: str, new: str, tests: str, caught_by: str) -> Break:
    """A break that only two masters on PostgreSQL notice."""
    return Break(name, f"src/reelmill/store/{file}.py", old, new, (f"tests/integration/store/{tests}.py",), caught_by)


MODEL = "test_a_store_does_what_the_model_does"
_0001 = "migrations/versions/0001_farm"
_0002 = "migrations/versions/0002_tenants_and_labels"

FENCES = [
    _store(
        "a write without its fence on the attempt",
        "transition",
        "AND jobs.attempt = new.fence_attempt AND",
        "AND",
        "change",
        "test_a_change_of_an_outdated_row_is_refused",
    ),
    _store(
        "a write without its fence on the status",
        "transition",
        "AND jobs.status = new.fence_status",
        "",
        "change",
        "test_a_change_of_an_outdated_row_is_refused",
    ),
    _store(
        "reports of old attempts count",
        "attempts",
        "job.attempt != said.key.attempt or ",
        "",
        "fence",
        "test_an_attempt_that_never_was_is_dropped",
    ),
    _store(
        "reports of other nodes count",
        "attempts",
        " or job.node_id not in (None, said.node_id)",
        "",
        "fence",
        "test_nothing_another_node_says_changes_the_job",
    ),
    _rule(
        "a settled job can be canceled, lost or returned",
        "or (settled and not isinstance(event, Publish | Fail))",
        "",
        "fence",
        "test_a_goodbye_gives_everything_back_at_once",
    ),
    _rule(
        "publishing without having settled",
        "if isinstance(event, Publish) and not settled:",
        "if False:",
        "fence",
        "test_a_published_word_without_a_settled_one_is_dropped",
    ),
]
LEASES = [
    _store(
        "leases are not renewed",
        "attempts",
        "_RENEW.run(tx, sorted(renewals, key=itemgetter(0)))",
        "_RENEW.run(tx, [])",
        "fence",
        "test_a_beating_worker_keeps_its_job",
    ),
    _rule(
        "a lost worker is no crash",
        "crashes=job.crashes + 1",
        "crashes=job.crashes",
        "fence",
        "test_a_job_that_loses_its_workers_again_and_again_is_poisoned",
    ),
    _rule(
        "a paused running job loses its lease",
        'if job.status == "assigned" else still',
        "",
        "pause",
        "test_a_paused_running_job_is_held_and_renewed_and_told_of",
    ),
    _rule(
        "a paused job that is lost goes on by itself",
        'return "paused" if job.status == "paused" else status',
        "return status",
        "machine",
        MODEL,
    ),
    _rule(
        "the attempt does not rise",
        "attempt=job.attempt + 1",
        "attempt=max(1, job.attempt)",
        "fence",
        "test_nothing_a_late_attempt_says_changes_the_job",
    ),
]
ORDER = [
    _store(
        "priority and queue do not count",
        "rows",
        "order_rank(job.queue, job.priority),",
        "4,",
        "claim",
        "test_jobs_run_by_queue_then_priority_then_arrival",
    ),
    _store(
        "no node is kept for a big job",
        "claim",
        "        return holder == offer.node_id\n",
        "        return False\n",
        "claim",
        "test_a_job_passed_over_for_30_s_reserves_the_next_node",
    ),
    _store(
        "a job runs where its engine is not",
        "claim",
        "if can_run(offer.capabilities, one.needs)]",
        "]",
        "claim",
        "test_jobs_that_a_node_cannot_run_never_block_it",
    ),
    _store(
        "live jobs have no reserve",
        "claim",
        "kept = 0 if is_live else max(0, offer.reserve_live - live)",
        "kept = 0",
        "claim",
        "test_live_jobs_may_use_the_reserve_and_others_may_not",
    ),
    _store(
        "a draining node gets jobs",
        "claim",
        "if offer.node_id not in closed else",
        "if True else",
        "claim",
        "test_a_draining_node_gets_nothing_until_it_is_resumed",
    ),
    _store(
        "a node whose worker ends gets jobs",
        "nodes",
        " OR stopping_at IS NOT NULL",
        "",
        "claim",
        "test_a_node_whose_worker_ends_gets_nothing_and_nothing_is_kept_for_it",
    ),
    _store(
        "a job waits for a node whose worker ends",
        "nodes",
        'text(f"NOT {_IS_CLOSED}"),',
        "nodes.c.left_at.is_(None),",
        "claim",
        "test_a_node_whose_worker_ends_gets_nothing_and_nothing_is_kept_for_it",
    ),
    _store(
        "a tenant's limit is ignored",
        "tenants",
        "max(0, limit - held.get(name, 0))",
        "limit + 99",
        "tenant",
        "test_a_claim_never_exceeds_a_limit",
    ),
    _store(
        "retries never become ready",
        "claim",
        "    tx.execute(_PROMOTE_DUE,",
        "    _ = (_PROMOTE_DUE,",
        "claim",
        "test_a_retry_is_given_when_its_backoff_has_ended_and_not_before",
    ),
]
BOOKS = [
    _store(
        "changes are not counted",
        "transition",
        "        change_counts(tx, _count(changed))\n",
        "",
        "invariant",
        "test_whatever_happens_counts_and_histories_are_right",
    ),
    Break(
        "what failed in a shared commit is counted",
        "src/reelmill/store/group_commit.py",
        "    undo_counts(connection, counted)\n",
        "",
        (CONTRACT.format("change"), "-k", "sqlite-file"),
        "test_what_fails_in_a_shared_commit_is_not_counted",
    ),
    _store(
        "steps are not written to the history",
        "transition",
        "        _RECORD.run(tx, self._history)\n",
        "",
        "control",
        "test_the_history_of_a_job_tells_its_whole_way",
    ),
    _store(
        "a key with another body is no conflict",
        "submit",
        "if fingerprint == asked.fingerprint:",
        "if True:",
        "submit",
        "test_the_same_key_and_another_body_is_a_conflict",
    ),
    _store(
        "two rows may share a key",
        _0002,
        '"idempotency_key IS NOT NULL", unique=True)',
        '"idempotency_key IS NOT NULL")',
        "invariant",
        "test_an_id_and_a_key_belong_to_one_job",
    ),
    Break(
        "commits do not wait for the disk",
        "src/reelmill/store/sqlite.py",
        'synchronous=FULL"',
        'synchronous=OFF"',
        ("tests/integration/store/test_sqlite_file.py", "-k", "disk"),
        "test_every_answer_waits_for_the_disk",
    ),
]
MASTERS = [
    _postgres(
        "a claim waits for what another master is giving away",
        "claim",
        '"FOR UPDATE SKIP LOCKED"',
        '"FOR UPDATE"',
        "test_masters_at_once",
        "test_a_claim_does_not_wait_for_another_master",
    ),
    _postgres(
        "a claim does not look whether its jobs were given meanwhile",
        "claim",
        "FROM jobs WHERE ready AND sequence_number",
        "FROM jobs WHERE sequence_number",
        "test_masters_at_once",
        "test_a_job_that_another_master_gave_meanwhile_is_not_given_again",
    ),
    _postgres(
        "two masters share out one limit",
        "tenants",
        "_LOCKED_LIMITS if lock else _LIMITS",
        "_LIMITS",
        "test_masters_at_once",
        "test_a_limit_holds_for_two_masters_at_once",
    ),
    _postgres(
        "a limit that is left out is written as it was found",
        "tenants",
        " if limit is not UNSET)",
        ")",
        "test_masters_at_once",
        "test_two_limits_of_a_new_tenant_at_once_are_both_kept",
    ),
    _store(
        "a queue is never full",
        "room",
        "            if self._waiting[place] + n > self._limits[place]\n",
        "            if self._waiting[place] + n > self._limits[place] + 1_000\n",
        "room",
        "test_a_full_queue_takes_the_first_jobs_and_no_more",
    ),
    _store(
        "a refused job makes its lane",
        "submit",
        "sorted({job.needs for job in placed})",
        "sorted({job.needs for job in possible})",
        "room",
        "test_single_jobs_that_are_refused_leave_nothing_behind",
    ),
    _store(
        "known jobs need room",
        "submit",
        "refused = _take_room(tx, possible,",
        "refused = _take_room(tx, list(new),",
        "room",
        "test_a_repeat_of_what_was_accepted_succeeds_when_all_is_full",
    ),
    _postgres(
        "a limit is looked at only before the counts are ours",
        "counts",
        "    if shared and pending.limits:\n",
        "    if not shared and pending.limits:\n",
        "test_masters_at_once",
        "test_a_full_queue_holds_for_two_masters_at_once",
    ),
    _postgres(
        "counts are written before the commit",
        "counts",
        "    _pending(tx).add(changes)\n",
        "    _pending(tx).add(changes)\n    write_counts(tx)\n",
        "test_masters_at_once",
        "test_a_claim_does_not_wait_for_another_master",
    ),
    _postgres(
        "renewals without their fence",
        "attempts",
        " AND jobs.attempt = new.fence_attempt",
        "",
        "test_masters_at_once",
        "test_a_beat_renews_only_the_attempt_that_it_is_about",
    ),
    _postgres(
        "a beat takes back whatever is there",
        "attempts",
        "for job in loaded if AttemptKey(job.id, job.attempt) in attempts",
        "for job in loaded",
        "test_masters_at_once",
        "test_a_beat_takes_back_only_the_attempt_that_it_is_about",
    ),
    _postgres(
        "a sweep does not look again under its lock",
        "attempts",
        "    return [job for job in loaded if job.lease_until is not None and job.lease_until < rules.now]\n",
        "    return list(loaded)\n",
        "test_masters_at_once",
        "test_a_sweep_leaves_alone_what_was_renewed_meanwhile",
    ),
    _postgres(
        "two nodes are told to publish one output",
        "attempts",
        'in _expired(load_numbers(tx, tx.execute(_UNPUBLISHED, {"now": rules.now}).scalars().all()), rules):',
        'in load_numbers(tx, tx.execute(_UNPUBLISHED, {"now": rules.now}).scalars().all()):',
        "test_masters_at_once",
        "test_a_publication_is_handed_to_one_node",
    ),
    _postgres(
        "a lane's end is given before its beginning",
        "lanes",
        "ORDER BY rank, sequence_number LIMIT {most}\n        ) j",
        "ORDER BY rank, sequence_number DESC LIMIT {most}\n        ) j",
        "test_two_masters",
        "test_sixteen_claimers_of_two_masters_give_each_job_once_and_in_order",
    ),
    _postgres(
        "a full lane is read and sorted for each claim",
        "postgres",
        '"SET enable_bitmapscan = off")',
        '"SET enable_bitmapscan = on")',
        "test_query_plans",
        "test_postgresql_walks_the_index_of_a_lane_that_it_knows_nothing_of",
    ),
]
_CHECKS = (
    *("jobs_status", "jobs_order", "jobs_rank", "jobs_ended_has_time", "jobs_held_has_lease", "jobs_lease_has_holder"),
    *("jobs_running_has_start", "jobs_ready_waits", "jobs_queued_is_ready", "jobs_retry_has_time"),
    *("jobs_completed_has_winner", "jobs_failed_has_reason"),
)
CHECKS = [
    *(
        _store(
            f"CHECK {name}",
            _0002,
            f"CONSTRAINT {name} CHECK (",
            f"CONSTRAINT {name} CHECK (1 OR ",
            "invariant",
            "test_the_schema_refuses_illegal_rows",
        )
        for name in _CHECKS
    ),
    *(
        _store(
            f"CHECK {name}",
            _0001,
            f'"n >= 0", name="{name}"',
            f'"1 OR n", name="{name}"',
            "invariant",
            "test_the_schema_refuses_negative_counts_and_unknown_relations",
        )
        for name in ("counts_not_negative", "launch_counts_not_negative")
    ),
    _store(
        "CHECK tenants_limit",
        _0002,
        '"max_running >= 0"',
        '"1 OR max_running"',
        "change",
        "test_a_negative_limit_is_refused",
    ),
]
BREAKS = [*FENCES, *LEASES, *ORDER, *BOOKS, *MASTERS, *CHECKS, *WORKER, *OUTPUTS, *LOSSES, *FLEET, *FAULTS, *SIMULATED]
