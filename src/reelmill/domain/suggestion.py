"""A sentence for a name that nobody knows, with the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(kind: str, given: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not known: what was given, the nearest one, and the whole list when it is short."""
    names = list(known)
    shown = given if len(given) <= 60 else given[:57] + "..."
    near = difflib.get_close_matches(given.lower()[:60], [name.lower() for name in names], n=1, cutoff=0.5)
    sentence = f"unknown {kind} {shown!r}"
    if near:
        sentence += f"; did you mean {next(n for n in names if n.lower() == near[0])!r}?"
    if len(names) <= 6:
        sentence += f" (one of {', '.join(names)})"
    return sentence
