"""All inputs, by kind."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bad_inputs import damaged, leading_elsewhere, names, not_media, pictures, places, sounds, times
from tests.bad_inputs.case import Case

KINDS: Mapping[str, tuple[Case, ...]] = {
    "Damaged films": damaged.CASES,
    "No films at all": not_media.CASES,
    "Files that lead elsewhere": leading_elsewhere.CASES,
    "Strange pictures": pictures.CASES,
    "Strange sound, and other streams": sounds.CASES,
    "Strange times": times.CASES,
    "Strange names": names.CASES,
    "Strange places": places.CASES,
}
"""Each kind's heading, and its cases."""

CASES: tuple[Case, ...] = tuple(case for cases in KINDS.values() for case in cases)
