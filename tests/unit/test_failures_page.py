"""docs/failures.md is what the code and the corpus of bad inputs say."""

from __future__ import annotations

from collections import Counter

import pytest

from reelmill.domain.failure import FAILURE_REASONS, RETRYABLE
from tests.bad_inputs.case import Case
from tests.bad_inputs.page import PAGE, known_failures, render
from tests.bad_inputs.table import CASES

FAILURES = [(code, *found) for code, all_of_it in known_failures().items() for found in all_of_it]


def test_the_page_is_fresh() -> None:
    """`python -m tests.bad_inputs` writes it anew."""
    assert render() == PAGE.read_text()


@pytest.mark.parametrize(("code", "reason", "sentence"), FAILURES, ids=lambda value: str(value)[:40])
def test_each_failure_is_a_sentence_that_says_what_to_do(code: str, reason: str, sentence: str) -> None:
    """It begins like one, ends like one, and has an advice behind what happened."""
    assert reason in FAILURE_REASONS
    assert code.replace("_", "").isalpha()
    assert sentence.startswith(("ffmpeg ", "reelmill ", "…")) or sentence[0].isupper()
    assert sentence.endswith(".")
    assert code == "canceled" or any(sign in sentence for sign in (";", ":", ". ")), sentence


def test_a_code_has_one_answer_to_whether_it_is_tried_again() -> None:
    """A program that knows the code knows that, but for `permission_denied`, where it depends on whose file it is."""
    both = [code for code, all_of_it in known_failures().items() if len({r in RETRYABLE for r, _ in all_of_it}) > 1]
    assert ["permission_denied"] == both


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.what))
def test_each_expected_code_is_known_and_never_tried_again(case: Case) -> None:
    """P9: no answer of the table leads to another try."""
    if case.answer.status == "failed":
        assert case.answer.reason in {reason for reason, _ in known_failures()[case.answer.code or ""]}
        assert case.answer.reason not in RETRYABLE


def test_the_corpus_is_large_and_without_doubles() -> None:
    """Each input has a file of its own."""
    assert [] == [file for file, times in Counter(case.file for case in CASES).items() if times > 1]
    assert len(CASES) >= 200
