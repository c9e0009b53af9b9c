"""The ways in which one attempt may encode its job, the best first, and when it goes on to the next."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reelmill.domain.attempt import Grant
from reelmill.domain.encoder import is_hardware
from reelmill.domain.failure import Failure
from reelmill.worker.engines.engine import EncodePlan, Engine

_NOT_OF_A_DRIVER = frozenset(
    {"no_space", "file_too_large", "permission_denied", "output_folder_missing", "io_error", "job_timed_out"}
)


def ways_to_encode(engines: Mapping[str, Engine], grant: Grant, plan: EncodePlan) -> list[Engine]:
    """The engine that was granted, in hardware and then in software, then those that may take over from it."""
    names = [name for name in (grant.engine, *grant.other_engines) if name in engines]
    return [way for name in names for way in engines[name].ways(plan)]


def lets_another_try(failure: Failure, encoder: str, *, is_made: bool) -> bool:
    """Whether another way may do what this one could not: what is wrong with the job fails every way.

    Drivers of hardware fail in any words, so all but faults of the input and of the disk are taken for theirs. Of an
    output that ``is_made``, and wrong, nobody knows whether the driver or the input is to blame, whatever is said of
    the input. When the job's time is over it is over for every way.
    """
    if is_hardware(encoder):
        is_of_input = failure.reason in ("input_error", "user_error") and not is_made
        return not is_of_input and failure.code not in _NOT_OF_A_DRIVER
    return failure.reason == "capability_mismatch"


def blame_device(failure: Failure, encoder: str) -> Failure:
    """The failure of the last way: a device that worked when its node began may work again, or on another node."""
    if failure.reason == "capability_mismatch" and is_hardware(encoder):
        return msgspec.structs.replace(failure, reason="platform_error")
    return failure


def describe_fallback(before: str | None, way: Engine, plan: EncodePlan, failure: Failure) -> str:
    """What is said of the output that another way made."""
    this = f"not {way.encoder_of(plan)} of {way.name} ({failure.code}: {failure.message})"
    return this if before is None else f"{before}; {this}"
