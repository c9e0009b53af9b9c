"""Breaks of what keeps the members of a fleet apart: who may say and hear what, and whose media and words count."""

from __future__ import annotations

from tests.breaks.broken import Break

_ADMISSION = "tests/integration/bus/test_admission.py"


def _bus(name: str, file: str, old: str, new: str, caught_by: str) -> Break:
    """A break that a real nats-server with the configuration of a farm brings to light."""
    return Break(name, f"src/reelmill/bus/{file}.py", old, new, (_ADMISSION, "-k", caught_by), caught_by)


FLEET = [
    _bus(
        "a pass lets a worker say anything",
        "admission",
        '"pub": {"allow": [echo, *(me.says(subject) for subject in WORKER_SAYS)]}',
        '"pub": {"allow": [echo, ">"]}',
        "test_a_worker_cannot_say_what_is_not_its_to_say",
    ),
    _bus(
        "a pass lets a worker hear anything",
        "admission",
        '"sub": {"allow": [echo, ',
        '"sub": {"allow": [">", echo, ',
        "test_a_worker_cannot_hear_what_is_for_others",
    ),
    _bus(
        "words that came with a revoked token count",
        "nats",
        "return role == MASTER_ROLE or self._trusts(role)",
        "return True",
        "test_words_of_a_role_that_is_not_trusted_any_more_do_not_count",
    ),
    _bus(
        "a worker with a revoked token hears nothing",
        "nats",
        '            await self._respond(message, b"", {_FAILED: _REFUSED})\n',
        "            pass\n",
        "test_words_of_a_role_that_is_not_trusted_any_more_do_not_count",
    ),
    _bus(
        "masters read words of any size",
        "nats",
        "if role == MASTER_ROLE or len(message.data) <= WORKER_WORD_BYTES:",
        "if True:",
        "test_a_worker_cannot_flood_masters_with_large_words",
    ),
    Break(
        "nobody looks at the signature of a media link",
        "src/reelmill/media/link.py",
        'if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):',
        "if not expected:",
        ("tests/integration/farm/test_media_links.py", "-k", "changed_in_any_part"),
        "test_a_link_that_was_changed_in_any_part_is_refused",
    ),
    Break(
        "a media link is good for every deed",
        "src/reelmill/media/link.py",
        'said = "\\n".join((deed, relative,',
        'said = "\\n".join(("", relative,',
        ("tests/unit/media/test_link.py",),
        "test_a_signature_is_good_for_one_deed_one_attempt_one_end_and_one_farm",
    ),
    Break(
        "media links are given to any node",
        "src/reelmill/master/media_desk.py",
        "job is None or job.node_id != asked.node_id or not job.is_held",
        "job is None or not job.is_held",
        ("tests/integration/farm/test_media_links.py", "-k", "holds_the_attempt_only"),
        "test_links_are_given_to_the_node_that_holds_the_attempt_only",
    ),
    Break(
        "a master publishes what has not won",
        "src/reelmill/master/media_desk.py",
        "if job is None or job.winner != key.attempt or job.result is None:",
        "if job is None:",
        ("tests/integration/farm/test_media_links.py", "-k", "published_before"),
        "test_nothing_is_published_before_the_store_says_so",
    ),
    Break(
        "a repeated report brings a log",
        "src/reelmill/store/attempts.py",
        "if verdict.is_new and said.log is not None",
        "if verdict.counts and said.log is not None",
        ("tests/contract/test_store_words_contract.py", "-k", "sqlite-memory"),
        "test_nobody_adds_a_log_to_an_attempt_that_was_given_back",
    ),
    Break(
        "any node tells lines of a job",
        "src/reelmill/master/news.py",
        "    return job.attempt == key.attempt and job.node_id == node_id\n",
        "    return job.attempt == key.attempt\n",
        ("tests/integration/master/test_events_api.py", "-k", "lines"),
        "test_nobody_tells_lines_of_an_attempt_that_was_given_back",
    ),
    Break(
        "events are told before older ones that are on their way",
        "src/reelmill/store/events.py",
        "        if step.id != behind + 1 and step.id > sure:\n",
        "        if False:\n",
        ("tests/integration/store/test_reading_on.py",),
        "test_what_comes_behind_a_number_that_is_on_its_way_waits_for_it",
    ),
    Break(
        "a replay of events begins at its first one again",
        "src/reelmill/store/events.py",
        '    .where(history.c.id > bindparam("after"),',
        '    .where(history.c.id >= bindparam("after"),',
        ("tests/integration/master/test_events_api.py", "-k", "comes_again"),
        "test_who_comes_again_misses_nothing_and_hears_nothing_twice",
    ),
]
