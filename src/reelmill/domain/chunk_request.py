"""Whether a job may be encoded in chunks; what can be known of that before its input was looked at."""

from __future__ import annotations

import math

from reelmill.domain.quantity import parse_duration
from reelmill.domain.scenario import Scenario
from reelmill.errors import InvalidField

FIELD = "parameters.chunk"
LEAST_SECONDS, MOST_SECONDS = 1.0, 86_400.0


def check_chunk(asked: float | str | None, source: str | None, scenario: Scenario, engine: str) -> float | None:
    """The seconds of a chunk; None when the job is encoded in one. InvalidField when it cannot be cut."""
    if asked is None:
        return None
    seconds = read_chunk(FIELD, asked)
    if source is None:
        raise InvalidField(FIELD, "needs an input: a test source is not cut; name one, or leave it out")
    if engine == "gstreamer":
        raise InvalidField(FIELD, "is done by the engine ffmpeg; leave out `engine`, or the chunk")
    if scenario.rate.mode == "two-pass":
        advice = "use a scenario with one pass, or leave it out"
        raise InvalidField(
            FIELD, f"does not go with {scenario.name}, whose first pass looks at the whole film; {advice}"
        )
    return seconds


def read_chunk(field: str, asked: float | str) -> float:
    """Seconds, of a number or of text such as ``"60s"``."""
    try:
        seconds = parse_duration(asked) if isinstance(asked, str) else asked
    except ValueError as error:
        raise InvalidField(field, str(error)) from None
    if not (math.isfinite(seconds) and LEAST_SECONDS <= seconds <= MOST_SECONDS):
        raise InvalidField(field, f"{asked} is out of range ({LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds)")
    return seconds
