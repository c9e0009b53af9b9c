"""A place: where a farm keeps media, as one worker reaches it; and the trial that tells whether it does."""

from __future__ import annotations

import msgspec


class PlaceCheck(msgspec.Struct, frozen=True):
    """A master has put a file into its media place; who is asked reads it, and leaves one of its own beside it.

    ``name`` and ``reply`` name the two where the place is a folder, ``read`` and ``write`` are their links where it is
    not. The worker answers within ``seconds``, whatever the place does.
    """

    name: str
    reply: str
    read: str
    write: str
    seconds: float
    write_headers: dict[str, str] = {}
    """What must be said with the reply."""


class TrialStep(msgspec.Struct, frozen=True):
    """One half of a trial: the SHA-256 (hex) of what was read or written, or the sentence why it was not."""

    sha256: str | None
    seconds: float
    fault: str | None = None


class PlaceTrial(msgspec.Struct, frozen=True):
    """What came of a check at one worker. ``place`` is what it uses, as people call it."""

    place: str
    read: TrialStep
    write: TrialStep


class CheckedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A node and its place. ``read`` and ``write`` are ``ok``, ``failed``, or ``unknown`` when it did not answer.

    Seconds are None where nothing was measured; ``trouble`` says what is wrong, and what to do.
    """

    node: str
    node_id: str
    version: str
    place: str | None = None
    read: str = "unknown"
    write: str = "unknown"
    read_seconds: float | None = None
    write_seconds: float | None = None
    trouble: str | None = None
