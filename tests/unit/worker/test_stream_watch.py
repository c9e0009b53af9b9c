"""What a stream's figures are, from the words of a real ffmpeg 9.0.2 whose server was restarted and frozen."""

from __future__ import annotations

from reelmill.domain.stream import StreamProgress
from reelmill.worker.stream_watch import StreamWatch

CONNECTED = b"[tcp @ 0x7f04] [verbose] Successfully connected to 127.0.0.1 port 19350\n"
CLOSED = b"[AVIOContext @ 0x7f04] [verbose] Statistics: 1970870 bytes written, 0 seeks, 241 writeouts\n"
PROGRESS_CLOSED = b"[AVIOContext @ 0x55ee] [verbose] Statistics: 11150 bytes written, 0 seeks, 59 writeouts\n"
LOST = b"[fifo @ 0x5578] [verbose] Recovery attempt #1\n"
FAILED = b"[fifo @ 0x5578] [info] Recovery failed: Connection refused\n"
RECOVERED = b"[fifo @ 0x5578] [info] Recovery successful\n"
KEY_FRAME = b"[fifo @ 0x5578] [verbose] Video keyframe received, recovering...\n"
FULL = b"[fifo @ 0x55ee] [warning] FIFO queue full\n"


class _Run:
    """A watch whose clock the test turns; media goes with it unless told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = StreamWatch(60, lambda: self.now)

    def hear(self, words: bytes) -> None:
        for line in words.decode().splitlines():
            self.watch.hear(line)

    def go_on(self, seconds: float, *, media: float | None = None) -> None:
        self.now += seconds
        at = self.now - 100.0 if media is None else media
        self.watch.note(round(at * 30), at)


def test_a_stream_that_runs_is_sent_and_not_behind() -> None:
    run = _Run()
    assert "connecting" == run.watch.progress().state
    run.hear(CONNECTED)
    run.go_on(1)
    run.go_on(20)
    assert StreamProgress("sending") == run.watch.progress()
    assert run.watch.is_connected


def test_a_server_that_went_away_and_came_back_is_one_reconnect_and_the_frames_between_are_dropped() -> None:
    """They count while it is away, and until the first key frame behind that."""
    run = _Run()
    run.hear(CONNECTED)
    run.go_on(10)
    run.hear(CLOSED + LOST + FAILED)
    run.go_on(4)
    assert StreamProgress("reconnecting", dropped=120) == run.watch.progress()
    run.hear(LOST + RECOVERED)
    run.go_on(1)
    run.hear(KEY_FRAME)
    run.go_on(5)
    assert StreamProgress("sending", dropped=150, reconnects=1) == run.watch.progress()
    run.hear(CLOSED + PROGRESS_CLOSED)
    assert 2 * 1970870 == run.watch.bytes_sent
    assert 0 == run.watch.unreachable_seconds()


def test_a_server_that_never_was_there_is_unreachable_and_says_why() -> None:
    """A connection that breaks within seconds, as of a stream that the server refuses, was none."""
    run = _Run()
    for _ in range(5):
        run.hear(CONNECTED + LOST + FAILED)
        run.go_on(1)
    assert ("connecting", 150, 0) == (
        run.watch.progress().state,
        run.watch.progress().dropped,
        run.watch.progress().reconnects,
    )
    assert (5.0, "Connection refused") == (run.watch.unreachable_seconds(), run.watch.trouble)
    run.hear(RECOVERED)
    assert (0.0, 0) == (run.watch.unreachable_seconds(), run.watch.progress().reconnects)


def test_what_waited_for_a_slow_server_and_was_thrown_away_is_dropped() -> None:
    """The queue was full of it, so it is the frames that it held and those until the next key frame."""
    run = _Run()
    run.hear(CONNECTED)
    run.go_on(10)
    run.hear(FULL)
    assert 60 == run.watch.progress().dropped
    run.go_on(1)
    run.hear(KEY_FRAME)
    run.go_on(1)
    assert StreamProgress("sending", dropped=90) == run.watch.progress()


def test_an_encoder_that_is_too_slow_falls_behind() -> None:
    """Its lag is what real time has gone on since it was the least behind."""
    run = _Run()
    run.hear(CONNECTED)
    run.go_on(2, media=0.5)  # the encoder fills its pipe at first
    run.go_on(1, media=1.5)
    run.go_on(4, media=3.5)
    run.go_on(1, media=5.5)
    assert StreamProgress("sending", lag=1.0, most_lag=2.0) == run.watch.progress()


def test_a_line_that_another_thread_has_begun_is_understood() -> None:
    """As ffmpeg wrote it on a busy machine."""
    run = _Run()
    run.hear(b"[info]       Successfully connected to 127.0.0.1 port 37985\n")
    assert "sending" == run.watch.progress().state
    run.hear(b"[info]   Stream #0:0Recovery attempt #1\n[info] Recovery successful\n")
    assert "sending" == run.watch.progress().state


def test_pictures_of_an_input_in_hdr_are_known_before_they_are_encoded() -> None:
    """By the words of its input, not by those of the output."""
    hdr = "[info]   Stream #0:0[0x100]: Video: hevc (Main 10), yuv420p10le(tv, bt2020nc/bt2020/smpte2084), 320x240"
    sdr = "[info]   Stream #0:0: Video: h264 (High), yuv420p(tv, bt709, progressive), 320x240, 25 fps, 25 tbr, 1k tbn"
    for line, is_hdr in ((hdr, True), (hdr.replace("smpte2084", "arib-std-b67"), True), (sdr, False)):
        watch = StreamWatch(60, reads_stream=True)
        watch.hear(line)
        assert is_hdr == watch.is_hdr
    watch = StreamWatch(60)
    watch.hear(hdr)
    assert not watch.is_hdr


def test_a_server_that_is_not_trusted_is_told_from_one_that_is_away() -> None:
    """Both end as an input/output error, with the cause in a line before."""
    untrusted = b"[tls @ 0x55bb] [error] error:0A000086:SSL routines::certificate verify failed\n"
    failed = b"[fifo @ 0x5578] [info] Recovery failed: Input/output error\n"
    run = _Run()
    run.hear(LOST + untrusted + failed)
    assert "certificate verify failed" == run.watch.trouble
    run.hear(LOST + failed)
    assert "Input/output error" == run.watch.trouble
