"""Where an input is cut: at key pictures, in frames of the output."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from reelmill.domain.chunk import MOST_CHUNKS
from reelmill.worker.cutting import Cutting, FindKey, cut

ZERO = Fraction(0)


def keys_every(step: Fraction) -> FindKey:
    """A file with a key picture at each multiple."""
    return lambda seconds: Fraction(seconds).limit_denominator(10**6) // step * step


def cutting(
    seconds: float = 10, rate: tuple[int, int] = (30, 1), duration: float = 60, limit: float | None = None
) -> Cutting:
    return Cutting(seconds=seconds, rate=rate, duration=duration, limit=limit)


def test_chunks_begin_at_key_pictures() -> None:
    """One frame behind, where the picture is shown however its time is rounded; the seek leads to it."""
    chunks = cut(cutting(), ZERO, keys_every(Fraction(4)))
    assert [0, 241, 601, 841, 1201, 1441] == [chunk.start for chunk in chunks]
    assert [241, 601, 841, 1201, 1441, None] == [chunk.end for chunk in chunks]
    assert 0.0 == chunks[0].seek
    assert 8 < chunks[1].seek < 8 + 1 / 30


def test_the_last_chunk_is_at_least_half_as_long() -> None:
    """Else the one before is longer."""
    assert 2 == len(cut(cutting(duration=24.9), ZERO, keys_every(Fraction(1))))
    assert 3 == len(cut(cutting(duration=25.1), ZERO, keys_every(Fraction(1))))


def test_what_has_one_key_picture_is_not_cut() -> None:
    [only] = cut(cutting(), ZERO, lambda _: ZERO)
    assert (0, None, 60.0) == (only.start, only.end, only.seconds)


def test_a_film_that_begins_late_begins_late() -> None:
    """Its first frame has the number that ffmpeg gives it."""
    assert 23 == cut(cutting(), Fraction(3, 4), keys_every(Fraction(1)))[0].start


def test_a_limit_ends_the_last_chunk() -> None:
    """In the frame at which ffmpeg cuts the whole."""
    assert 1035 == cut(cutting(duration=34.51, limit=34.51), ZERO, keys_every(Fraction(1)))[-1].end


@given(
    st.floats(1, 500),
    st.sampled_from([(30, 1), (60, 1), (30000, 1001), (24000, 1001)]),
    st.floats(0.5, 90_000),
    st.fractions(Fraction(1, 60), 100),
)
def test_chunks_follow_each_other_without_a_gap(
    seconds: float, rate: tuple[int, int], duration: float, step: Fraction
) -> None:
    """Whatever the input is: no frame twice, none left out, never too many, none empty."""
    chunks = cut(cutting(seconds, rate, duration), ZERO, keys_every(step))
    assert 1 <= len(chunks) <= MOST_CHUNKS
    assert list(range(len(chunks))) == [chunk.index for chunk in chunks]
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert all(chunk.end > chunk.start for chunk in chunks if chunk.end is not None)
    assert all(chunk.seconds > 0 for chunk in chunks)
