"""An engine may say anything, at any length: memory stays bounded and the beginning and the end are kept."""

from __future__ import annotations

from reelmill.worker.engine_output import BoundedText, FreshLines, LineSplitter


def test_a_short_text_is_kept_whole() -> None:
    """Nothing is lost of what fits, whatever its pieces."""
    text = BoundedText(head=4, tail=4)
    for byte in b"12345678":
        text.feed(bytes([byte]))
    assert text.text() == "12345678"


def test_a_long_text_keeps_head_and_tail_and_counts_the_gap() -> None:
    """The first words name the cause, the last the end; between them stands how much is missing."""
    text = BoundedText(head=4, tail=6)
    for number in range(1000):
        text.feed(b"%03d\n" % number)
    assert text.text() == "000\n\n... 3990 bytes left out ...\n8\n999\n"


def test_text_that_is_no_utf8_is_still_text() -> None:
    """Bytes that mean nothing do no harm."""
    text = BoundedText()
    text.feed(b"a\xffb")
    assert text.text() == "a\ufffdb"


def test_lines_come_whole_however_they_are_cut() -> None:
    """A line is handed on when its end has come, and not before."""
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for piece in (b"fra", b"me=1\nfps=", b"2\n\nrest"):
        splitter.feed(piece)
    assert lines == ["frame=1", "fps=2", ""]


def test_a_line_without_end_does_not_grow_forever() -> None:
    """A stream without line ends is handed on in pieces."""
    lines: list[str] = []
    LineSplitter(lines.append).feed(b"x" * 100_000)
    assert [len(line) for line in lines] == [100_000]


def test_fresh_lines_are_the_first_of_many_and_the_number_of_the_others() -> None:
    """A line that is not whole waits, unless it never becomes so; long ones are cut; nothing comes twice."""
    fresh = FreshLines()
    fresh.feed(b"one\r\n\n two\rthr")
    assert (["one", " two"], 0) == fresh.take(whole=True)
    assert fresh.is_fresh
    assert ([], 0) == fresh.take(whole=True)
    fresh.feed(b"ee\n" + b"x" * 5000 + b"\n")
    assert (["three", "x" * 500], 0) == fresh.take(whole=True)
    assert not fresh.is_fresh
    for number in range(10_000):
        fresh.feed(b"line %d\n" % number)
    lines, left_out = fresh.take(whole=True)
    assert [f"line {number}" for number in range(50)] == lines
    assert 10_000 - 50 == left_out
    fresh.feed(b"a\xff")
    assert (["a\ufffd"], 0) == fresh.take(whole=False)
