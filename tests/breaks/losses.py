"""Breaks of what is kept of attempts that came to nothing, and of what energy is counted."""

from __future__ import annotations

from tests.breaks.broken import Break

_CONTRACT = ("tests/contract/test_store_loss_contract.py", "-k", "sqlite-memory")
_FARM = ("tests/integration/farm/test_energy.py", "-k", "come_to_nothing")

_CARDS = ("tests/unit/worker/test_card_energy.py",)


def _loss(name: str, old: str, new: str, caught_by: str) -> Break:
    return Break(name, "src/reelmill/domain/loss.py", old, new, _CONTRACT, caught_by)


def _card(name: str, old: str, new: str, caught_by: str) -> Break:
    return Break(name, "src/reelmill/worker/card_energy.py", old, new, _CARDS, caught_by)


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
        "event if before.result is None else Settle(before.result)",
        "event",
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
    _card(
        "a driver that fails ends the attempt",
        "except self._nvml.NVMLError as error:",
        "except KeyError as error:",
        "test_a_driver_that_fails_leaves_no_number_and_hurts_nobody",
    ),
    _card(
        "a counter of a card may begin anew",
        "if min(used) < 0:",
        "if False:",
        "test_a_counter_that_begins_anew_leaves_no_number",
    ),
    _card(
        "after a failure of the driver cards are counted as before",
        "        self._handles = []\n",
        "        pass\n",
        "test_a_driver_that_fails_leaves_no_number_and_hurts_nobody",
    ),
    _card(
        "attempts on one card each have all its energy",
        "sum(used) / 1000 / self._working",
        "sum(used) / 1000",
        "test_attempts_that_encode_at_a_time_share_what_was_used_then",
    ),
    _card(
        "a card without a counter uses nothing",
        "except nvml.NVMLError as error:  # no driver, no card, or one that is too old to count: on most machines\n"
        "            self._give_up(str(error), log.debug)",
        "except nvml.NVMLError:\n            self._handles = self._handles[:1]",
        "test_what_is_not_counted_is_not_measured",
    ),
    Break(
        "software has the energy of cards",
        "src/reelmill/worker/energy.py",
        'if self._meter is None or device_family(encoder) != "nvenc":',
        "if self._meter is None:",
        _CARDS,
        "test_only_who_encodes_on_a_card_has_its_energy",
    ),
    Break(
        "energy that nobody measured costs nothing",
        "src/reelmill/domain/energy.py",
        "joules is not None and cards.joules is not None:\n"
        "        cost, cost_source = prices.per_kwh * (joules + cards.joules)",
        "joules is not None:\n        cost, cost_source = prices.per_kwh * (joules + (cards.joules or 0))",
        _CARDS,
        "test_the_cost_of_energy_is_unknown_when_a_part_of_it_is",
    ),
    _loss(
        "the chunks of a join are lost with it",
        "return result.spent if job.chunk_plan is None else None",
        "return result.spent",
        "test_what_a_join_says_of_its_chunks_is_not_lost_with_it",
    ),
    Break(
        "a sum with a modelled part is measured",
        "src/reelmill/domain/energy.py",
        'self.energy_source if self.energy_source == other.energy_source else "model"',
        '"rapl"',
        ("tests/unit/domain/test_spending.py",),
        "test_a_sum_says_no_more_than_its_parts",
    ),
    Break(
        "a chunk of which nothing is known used nothing",
        "src/reelmill/domain/energy.py",
        "return None if one is None or other is None else round(one + other, 8)",
        "return round((one or 0) + (other or 0), 8)",
        ("tests/unit/domain/test_lifecycle_chunks.py",),
        "test_a_plan_adds_up_what_its_chunks_used",
    ),
    Break(
        "a join tells of itself only",
        "src/reelmill/worker/chunks.py",
        "return chunks.spent.plus(msgspec.structs.replace(spent, gpu_joules=0.0))",
        "return spent",
        ("tests/integration/farm/test_chunks.py", "-k", "join_tells"),
        "test_a_join_tells_what_all_its_chunks_used_and_itself",
    ),
]
