"""Breaks of what is kept of attempts that came to nothing, and of what energy is counted."""

from __future__ import annotations

from tests.breaks.broken import Break

_CONTRACT = ("tests/contract/test_store_loss_contract.py", "-k", "sqlite-memory")
_FARM = ("tests/integration/farm/test_energy.py", "-k", "come_to_nothing")


def _loss(name: str, old: str, new: str, caught_by: str) -> Break:
    return Break(name, "src/reelmill/domain/loss.py", old, new, _CONTRACT, caught_by)


LOSSES = [
    _loss(
        "a lost worker's attempt is forgotten",
        "            return WORKER_LOST.code\n",
        "            return None\n",
        "test_an_attempt_whose_worker_was_lost_is_unmeasured_until_it_says_so_itself",
    ),
    _loss(
        "any node says what an attempt used",
        "if (lost.attempt, lost.node_id) == (attempt, node_id) and",
        "if lost.attempt == attempt and",
        "test_an_attempt_whose_worker_was_lost_is_unmeasured_until_it_says_so_itself",
    ),
    _loss(
        "a second word changes what was used",
        "(attempt, node_id) and not lost.is_known",
        "(attempt, node_id)",
        "test_an_attempt_whose_worker_was_lost_is_unmeasured_until_it_says_so_itself",
    ),
    _loss(
        "what never ran is lost work",
        "if before.started_at is None and not isinstance(event, Lose | Cancel):",
        "if False:",
        "test_what_never_ran_used_nothing_and_what_won_is_not_lost",
    ),
    _loss(
        "an output that is gone took its figures with it",
        "spent_of(event) if before.result is None else before.result.spent",
        "spent_of(event)",
        "test_a_settled_output_that_is_gone_is_lost_work",
    ),
    _loss(
        "lost attempts are kept for ever",
        "[-KEPT_LOST_ATTEMPTS:]",
        "",
        "test_the_newest_lost_attempts_are_kept",
    ),
    Break(
        "a late word is written as a step is",
        "src/reelmill/store/attempts.py",
        "    _hear_late_words(tx, changes, reports)\n",
        "    for one in reports:\n"
        "        if one.key.job_id in changes.now:\n"
        "            late = with_late_word(changes.now[one.key.job_id], one.key.attempt, one.node_id, one.event)\n"
        "            changes.now[one.key.job_id] = late\n"
        "    changes.write(tx)\n",
        _CONTRACT,
        "test_a_late_word_takes_nothing_from_a_job_that_waits",
    ),
    Break(
        "a canceled attempt says nothing",
        "src/reelmill/worker/agent.py",
        "        if spent is not None and spent.is_known:\n",
        "        if spent is None:\n",
        _FARM,
        "test_attempts_that_come_to_nothing_say_what_they_used",
    ),
    Break(
        "a failed attempt says nothing",
        "src/reelmill/worker/attempt.py",
        "event = msgspec.structs.replace(event, spent=self.account.spent())",
        "event = msgspec.structs.replace(event, spent=None)",
        _FARM,
        "test_attempts_that_come_to_nothing_say_what_they_used",
    ),
    Break(
        "lost work is completed work",
        "src/reelmill/launcher/figures.py",
        "            self.measured.lost.add(lost)\n",
        "            self.measured.spent.add(lost)\n",
        ("tests/unit/launcher/test_report.py",),
        "test_what_came_to_nothing_is_told_apart_from_what_was_completed",
    ),
]
