"""The ways in which one attempt may encode its job, the best first, and when it goes on to the next."""

from __future__ import annotations

from collections.abc import Mapping

from reelmill.domain.attempt import Grant
from reelmill.domain.failure import Failure
from reelmill.worker.engines.engine import EncodePlan, Engine


def ways_to_encode(engines: Mapping[str, Engine], grant: Grant) -> list[Engine]:
    """The engine that was granted, then those that may take over from it."""
    return [engines[name] for name in (grant.engine, *grant.other_engines) if name in engines]


def lets_another_try(failure: Failure) -> bool:
    """Whether another way may do what this one could not: what is wrong with the job fails every way."""
    return failure.reason == "capability_mismatch"


def describe_fallback(before: str | None, way: Engine, plan: EncodePlan, failure: Failure) -> str:
    """What is said of the output that another way made."""
    this = f"not {way.encoder_of(plan)} of {way.name} ({failure.code}: {failure.message})"
    return this if before is None else f"{before}; {this}"
