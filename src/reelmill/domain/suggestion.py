"""A sentence for a name that nobody knows, with the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_SHOWN_NAMES = 4
_ALIKE = 0.5


def unknown_name(kind: str, given: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not known: what was given, the nearest one, and the whole list when it is short."""
    names = list(known)
    shown = given if len(given) <= 60 else given[:57] + "..."
    sentence = f"unknown {kind} {shown!r}"
    begins = [name for name in names if given and name.lower().startswith(given.lower())]
    if len(begins) > 1:
        several = ", ".join(repr(name) for name in begins[:_SHOWN_NAMES])
        more = f" ... ({len(begins) - _SHOWN_NAMES} more)" if len(begins) > _SHOWN_NAMES else ""
        return f"{sentence}; did you mean one of {several}{more}?"
    meant = begins[0] if begins else _nearest(given.lower()[:60], names)
    if meant is not None:
        sentence += f"; did you mean {meant!r}?"
    if 0 < len(names) <= 6:
        sentence += f" (one of {', '.join(names)})"
    return sentence


def _nearest(given: str, names: Sequence[str]) -> str | None:
    """The first of the names that are most like it, in the order in which they are listed."""
    close = difflib.get_close_matches(given, {name.lower() for name in names}, n=len(names) or 1, cutoff=_ALIKE)
    likeness = {name: difflib.SequenceMatcher(None, name, given).ratio() for name in close}
    found = [name for name in names if name.lower() in likeness]
    return max(found, key=lambda name: likeness[name.lower()], default=None)
