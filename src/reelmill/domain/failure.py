"""Why an attempt failed, in words that programs can count and people can act on."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

FailureReason = Literal[
    "user_error",
    "input_error",
    "capability_mismatch",
    "runtime_error",
    "timeout",
    "resource_error",
    "network_error",
    "platform_error",
    "poisoned",
    "canceled",
]
FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)

RETRYABLE: frozenset[FailureReason] = frozenset({"timeout", "resource_error", "network_error", "platform_error"})
"""Reasons that another try may cure; all others end the job at once."""


class Failure(msgspec.Struct, frozen=True):
    """One failure: the reason (a closed list), a stable code, and a sentence that says what to do."""

    reason: FailureReason
    code: str
    message: str

    @classmethod
    def of_chunk(cls, number: int, chunks: int, reason: FailureReason, code: str, message: str) -> Failure:
        """What a job fails of whose chunk of that number has failed."""
        return cls(reason, code, f"Chunk {number} of {chunks} failed: {message}")

    @property
    def retryable(self) -> bool:
        return self.reason in RETRYABLE


OUTPUT_LOST = "output_lost"
"""The code of a verified output that is gone before its publication: the one failure that makes it encoded again."""

WORKER_LOST = Failure(
    "platform_error",
    "worker_lost",
    "The worker stopped answering while it ran this job; look at the worker's log and its machine.",
)
"""What a job whose lease ran out failed of, until the crash limit makes it `poisoned`."""
