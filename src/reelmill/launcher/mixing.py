"""``--mix 'live=1,default=7,batch=2'``: names with weights; the names tell what is mixed."""

from __future__ import annotations

from collections.abc import Sequence

from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES
from reelmill.domain.scenario import find_scenario, known_scenarios
from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField, NotFound
from reelmill.launcher.quantities import Said, read_weight, shown

MIX = "--mix"
KIND = "kind"
"""The dimension of the kinds of a workload file."""

_EXAMPLE = "write names and weights, such as 'live=1,default=7,batch=2'"


def read_mixes(texts: Sequence[str], kinds: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """For each dimension (``queue``, ``priority``, ``scenario``, ``engine``, ``kind``) its names with weights.

    ``kinds`` are the names of the workload file. InvalidField when a name is none of these, two dimensions are in one
    text, a dimension or a name comes twice, or a weight is not above 0.
    """
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        weights = _read_weights(text)
        dimension = _find_dimension(list(weights), kinds)
        if dimension in found:
            raise InvalidField(MIX, f"gives {_plural(dimension)} twice; write them in one --mix")
        found[dimension] = weights
    return found


def _read_weights(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not name or not equals:
            raise InvalidField(MIX, f"{shown(part.strip())} is not NAME=WEIGHT; {_EXAMPLE}")
        try:
            weight = float(number)
        except ValueError:
            raise InvalidField(MIX, f"{shown(number)} is not a weight for {shown(name)}; {_EXAMPLE}") from None
        if name in weights:
            raise InvalidField(MIX, f"{shown(name)} is there twice")
        weights[name] = read_weight(Said(weight, f"{MIX}: {name[:60]}"))
    return weights


def _find_dimension(names: Sequence[str], kinds: Sequence[str]) -> str:
    known = {KIND: kinds, "queue": QUEUES, "priority": PRIORITIES, "engine": ENGINES}
    fits: dict[str, list[str]] = {}
    for name in names:
        fits[name] = [dimension for dimension, choices in known.items() if name in choices]
        if _is_scenario(name):
            fits[name].append("scenario")
        if not fits[name]:
            everything = [*kinds, *QUEUES, *PRIORITIES, *ENGINES, *known_scenarios()]
            raise InvalidField(MIX, unknown_name("name", name, everything) + _which(kinds))
    shared = [dimension for dimension in (*known, "scenario") if all(dimension in fit for fit in fits.values())]
    if not shared:
        first = names[0]
        other = next(name for name in names if not set(fits[name]) & set(fits[first]))
        sorts = f"{first!r} is a {fits[first][0]} and {other!r} a {fits[other][0]}"
        raise InvalidField(MIX, f"{sorts}; write one --mix for each")
    if len(shared) > 1:
        raise InvalidField(MIX, f"{names[0]!r} is a {shared[1]}, and a kind of the workload file too; rename the kind")
    return shared[0]


def _is_scenario(name: str) -> bool:
    try:
        find_scenario(name)
    except NotFound:
        return False
    return True


def _which(kinds: Sequence[str]) -> str:
    return f" (a queue, a priority, an engine, a scenario{' or a kind of the workload file' if kinds else ''})"


def _plural(dimension: str) -> str:
    return "priorities" if dimension == "priority" else f"{dimension}s"
