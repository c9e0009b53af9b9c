"""Whether a job may be encoded in chunks; what can be known of that before its input was looked at."""

from __future__ import annotations

import math
from typing import NamedTuple

from reelmill.domain.encoder import is_hardware
from reelmill.domain.quantity import parse_duration
from reelmill.domain.scenario import Scenario
from reelmill.errors import InvalidField

FIELD = "parameters.chunk"
LEAST_SECONDS, MOST_SECONDS = 1.0, 86_400.0


class Chunking(NamedTuple):
    """Chunks of about so many ``seconds`` for an input that lasts longer than ``above`` seconds (None: for any)."""

    seconds: float
    above: float | None = None


def check_chunk(
    asked: float | str | None, source: str | None, scenario: Scenario, engine: str, usual: Chunking | None
) -> Chunking | None:
    """How the job is cut, as asked, else as is ``usual`` for those that can be; None: not at all.

    InvalidField when it was asked for and cannot be.
    """
    obstacle = _find_obstacle(source, scenario, engine)
    if asked is None:
        return usual if obstacle is None else None
    seconds = read_chunk(FIELD, asked)
    if obstacle is not None:
        raise InvalidField(FIELD, obstacle)
    return Chunking(seconds)


def _find_obstacle(source: str | None, scenario: Scenario, engine: str) -> str | None:
    if source is None:
        return "needs an input: a test source is not cut; name one, or leave it out"
    if engine == "gstreamer":
        return "is done by the engine ffmpeg; leave out `engine`, or the chunk"
    if scenario.rate.mode == "two-pass":
        reason = f"does not go with {scenario.name}, whose first pass looks at the whole film"
        return f"{reason}; use a scenario with one pass, or leave it out"
    if scenario.makes_folder:
        return f"is not done for {scenario.name}: its pieces could not be joined again; leave it out"
    if is_hardware(scenario.encoder or ""):
        return f"does not go with {scenario.encoder}: devices differ, and pieces must fit; leave one of the two out"
    return None


def read_chunk(field: str, asked: float | str) -> float:
    """Seconds, of a number or of text such as ``"60s"``."""
    try:
        seconds = parse_duration(asked) if isinstance(asked, str) else asked
    except ValueError as error:
        raise InvalidField(field, str(error)) from None
    if not (math.isfinite(seconds) and LEAST_SECONDS <= seconds <= MOST_SECONDS):
        raise InvalidField(field, f"{asked} is out of range ({LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds)")
    return seconds
