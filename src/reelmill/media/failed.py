"""The one exception of the worker's parts: something that ends an attempt, with its failure ready to be reported."""

from __future__ import annotations

from reelmill.domain.failure import Failure
from reelmill.errors import ReelmillError


class AttemptFailed(ReelmillError):
    """The attempt cannot go on; ``failure`` is what its report says. The system's own error is the ``__cause__``."""

    code = "attempt_failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
