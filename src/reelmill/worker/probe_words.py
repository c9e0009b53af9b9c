"""What is said between the probe and its client: one line of JSON each, a request and its reply."""

from __future__ import annotations

import msgspec

from reelmill.domain.chunk import Chunk
from reelmill.domain.failure import Failure
from reelmill.worker.cutting import Cutting
from reelmill.worker.media_info import MediaInfo


class ProbeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file to look at. ``path`` is bytes as the system has it, for names that are no text."""

    path: bytes
    count_frames: bool = False
    cutting: Cutting | None = None
    """How to cut it into chunks, instead of telling what it is."""
    sound_only: bool = False
    picture: bool = False
    """It is a JPEG of our own, which is decoded."""


class ProbeReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found, or why nothing was."""

    info: MediaInfo | None = None
    failure: Failure | None = None
    chunks: tuple[Chunk, ...] | None = None
