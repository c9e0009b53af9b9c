"""One input and its answer: the row of a table that is a test and a page of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reelmill.domain.failure import FailureReason
from tests.bad_inputs.kitchen import Kitchen

Make = Callable[[Kitchen, Path], object]
"""Puts the input at the path, which is absolute and may be no text; its folder is there."""


class Answer(NamedTuple):
    """``status`` is the job's, or `refused` where none is made; then ``code`` is that of the problem document."""

    status: str
    reason: FailureReason | None = None
    code: str | None = None


COMPLETES = Answer("completed")
REFUSED = Answer("refused", None, "invalid_field")


def fails(code: str, reason: FailureReason = "input_error") -> Answer:
    """The job fails with that code, at its first attempt."""
    return Answer("failed", reason, code)


NOT_MEDIA = fails("input_not_media")
TRUNCATED = fails("input_truncated")
INVALID = fails("input_invalid")


class Case(NamedTuple):
    """``what`` the input is, in words; the ``file`` under the media root; how to ``make`` it; the ``answer``.

    ``later`` is done when the job is accepted and none runs yet. ``parameters`` go into the request.
    ``seen`` is what the result of a completed job must have.
    """

    what: str
    file: str
    make: Make
    answer: Answer
    later: Make | None = None
    parameters: Mapping[str, Any] = {}
    seen: Mapping[str, Any] = {}
