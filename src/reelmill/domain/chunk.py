"""Chunks: pieces of one long input that several nodes encode at once, each as a job of its own under its parent."""

from __future__ import annotations

import re

import msgspec

from reelmill.domain.energy import Spending
from reelmill.domain.media_path import CHUNKS_FOLDER

MOST_CHUNKS = 1000
"""A longer input gets longer chunks."""

CHUNKS_PERCENT = 95.0
"""How much of the parent is done when all its chunks are; the rest is sound, joining and verifying."""

CHUNKS_USELESS = frozenset({"chunk_lost", "chunks_differ", "join_inexact"})
"""The codes of failures after which the job is split anew: its chunks would fail every join."""

_CHUNK_ID = re.compile(r"(?P<parent>.+)-(?P<attempt>\d+)c\d+")


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One piece, in frames of the output from ``start`` up to ``end``; of the last one only its input knows the end.

    ``seek`` is where its first key picture is in the input, ``seconds`` about how long the piece lasts.
    """

    index: int
    start: int
    end: int | None
    seek: float
    seconds: float


class ChunkPlan(msgspec.Struct, frozen=True):
    """What a job was split into, by which of its attempts; and how long engines took for what is complete of it."""

    attempt: int
    chunks: tuple[Chunk, ...]
    encode_seconds: float = 0.0
    cpu_seconds: float = 0.0
    spent: Spending | None = None
    """What the attempts used that made what is complete; None when there is none yet, or nobody can know."""

    def share(self, chunk: Chunk) -> float:
        """Which part of the whole that piece is, 0 to 1."""
        return chunk.seconds / sum(one.seconds for one in self.chunks)

    def with_done(self, encode_seconds: float, cpu_seconds: float, spent: Spending, *, is_first: bool) -> ChunkPlan:
        """The plan with what one more chunk took; a plan of a version that added up no energy goes on without."""
        together = spent if is_first else self.spent and self.spent.plus(spent)
        return msgspec.structs.replace(
            self,
            encode_seconds=self.encode_seconds + encode_seconds,
            cpu_seconds=self.cpu_seconds + cpu_seconds,
            spent=together if together is not None and together.is_known else None,
        )


def chunk_id(parent_id: str, attempt: int, index: int) -> str:
    """The id of the job that encodes the piece: it tells the parent, and which of its attempts has split it."""
    return f"{parent_id}-{attempt}c{index}"


def parent_of(job_id: str) -> str | None:
    """The parent of the job of that id; None when it is no chunk."""
    found = _CHUNK_ID.fullmatch(job_id)
    return found["parent"] if found else None


def read_plan_folder(name: str) -> tuple[str, int] | None:
    """The parent and the attempt that a folder of chunks is named after; None when it is none."""
    parent_id, _, attempt = name.rpartition("-")
    return (parent_id, int(attempt)) if parent_id and attempt.isdecimal() else None


def plan_folder(parent_id: str, attempt: int) -> str:
    """The name of the folder of the chunks that one attempt has planned."""
    return f"{parent_id}-{attempt}"


def chunk_path(parent_id: str, attempt: int, index: int) -> str:
    """Where the encoded piece waits, relative to the media root."""
    return f"{CHUNKS_FOLDER}/{plan_folder(parent_id, attempt)}/{index}.mp4"
