"""Where an input is cut into chunks: at its key pictures, counted in frames of the output.

ffmpeg's rate filter shows in frame ``n`` the last picture whose time, rounded to whole frames, is not behind ``n``. So
whoever begins to decode at a key picture gets, from the frame of that picture on, what a decode of the whole file gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import msgspec

from reelmill.domain.chunk import MOST_CHUNKS, Chunk

FindKey = Callable[[float], Fraction | None]
"""The time of the key picture that a seek to so many seconds finds, in seconds from the file's beginning."""

_HALF = Fraction(1, 2)


class Cutting(msgspec.Struct, frozen=True, kw_only=True):
    """How to cut: chunks of about ``seconds``, for an output of ``rate`` frames per second (numerator, denominator).

    ``duration`` is how long the picture lasts, ``limit`` where the output ends before its source (None: nowhere).
    """

    seconds: float
    rate: tuple[int, int]
    duration: float
    limit: float | None


def cut(asked: Cutting, first: Fraction, find_key: FindKey) -> tuple[Chunk, ...]:
    """The chunks of an input whose first picture is at ``first`` seconds; a single one when there is nowhere to cut."""
    rate = Fraction(*asked.rate)
    length = max(asked.seconds, asked.duration / MOST_CHUNKS)
    starts: list[tuple[int, Fraction]] = [(math.floor(first * rate + _HALF), Fraction(0))]
    for number in range(1, MOST_CHUNKS):
        if asked.duration - number * length <= length / 2:  # no chunk is less than half as long as was asked
            break
        found = find_key(float(first) + number * length)
        if found is None:
            break
        # One frame behind the key picture, however its time is rounded: in this frame it has been shown already.
        start = math.floor(found * rate) + 1
        if found > max(first, starts[-1][1]) and start > starts[-1][0] + 1:
            starts.append((start, found))
    # The last frame of a limit is the one that ffmpeg's own cut leaves.
    last = None if asked.limit is None else math.floor(Fraction(asked.limit).limit_denominator(10**6) * rate + _HALF)
    ends = [*(start for start, _ in starts[1:]), last]
    lengths = [float((end - start) / rate) for (start, _), end in zip(starts, ends, strict=True) if end is not None]
    if last is None:
        lengths.append(max(float(1 / rate), asked.duration - sum(lengths)))
    return tuple(
        Chunk(index=index, start=start, end=end, seek=float(seek + _HALF / rate) if index else 0.0, seconds=seconds)
        for index, ((start, seek), end, seconds) in enumerate(zip(starts, ends, lengths, strict=True))
    )
