"""What is kept of the words of an ffmpeg that streams."""

from __future__ import annotations

from reelmill.worker.stream_words import StreamWords


def test_the_watch_hears_every_line_and_the_log_keeps_what_is_news() -> None:
    """Whole lines, whatever pieces they come in; neither what is said for the watch, nor what is said every second."""
    heard: list[str] = []
    words = StreamWords(heard.append)
    kept = [
        words.feed(b"[info] Output #0, fi"),
        words.feed(b"fo, to 'rtmp://host/app/key':\n[tcp @ 0x12] [verb"),
        words.feed(b"ose] Successfully connected to ::1 port 1935\n[fifo @ 0x1] [info] Recovery failed: Refused\n"),
        words.feed(b"[fifo @ 0x1] [verbose] Recovery attempt #2\n[fifo @ 0x2] [info] Recovery failed: Refused\n[inf"),
    ]
    output = "[info] Output #0, fifo, to 'rtmp://host/app/key':"
    failed = "[fifo @ 0x1] [info] Recovery failed: Refused"
    assert [b"", f"{output}\n".encode(), f"{failed}\n".encode(), b""] == kept
    assert [output, "[tcp @ 0x12] [verbose] Successfully connected to ::1 port 1935", failed] == heard[:3]
    assert 5 == len(heard)
