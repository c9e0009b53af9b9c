"""Lengths that are lies, and clocks that begin where they like."""

from __future__ import annotations

import struct

from tests.bad_inputs.case import COMPLETES, INVALID, TRUNCATED, Case, fails
from tests.bad_inputs.kitchen import Change, ffmpeg, film, patch, put

_FAST = ("-movflags", "+faststart")
_HOUR = 3600


def _claim(seconds: int) -> Change:
    """An mp4 whose movie header says this length; its tracks say the truth."""
    return patch(b"mvhd", 20, struct.pack(">I", seconds * 1000))


def _claim_everywhere(seconds: int) -> Change:
    """The same in all of its headers: movie, tracks and media."""

    def change(data: bytes) -> bytes:
        for marker, offset in ((b"mvhd", 20), (b"tkhd", 24)):
            data = patch(marker, offset, struct.pack(">I", seconds * 1000))(data)
        data = put(b"edts", b"free")(data)
        return patch(b"mdhd", 20, struct.pack(">I", seconds * 12800))(data)

    return change


def _mkv_claim(seconds: float) -> Change:
    """An mkv whose header says this length."""
    return patch(b"\x44\x89\x88", 3, struct.pack(">d", seconds * 1000))


def _slow(factor: int) -> Change:
    """An mp4 whose pictures each stand ``factor`` times as long as its movie header says."""
    return patch(b"mdhd", 16, struct.pack(">I", 12800 // factor))


CASES = (
    Case("an mp4 that claims an hour in its movie header only", "hour.mp4",
         film(*_FAST, change=_claim(_HOUR)), COMPLETES),
    Case("an mp4 that claims an hour in every header; its samples are believed", "hours.mp4",
         film(*_FAST, change=_claim_everywhere(_HOUR)), COMPLETES),
    Case("an mp4 that claims to last no time", "no-time.mp4", film(change=_claim(0)), COMPLETES),
    Case("an mkv that claims ten hours", "hours.mkv", film(change=_mkv_claim(10 * _HOUR)), TRUNCATED),
    Case("an mkv that claims no time", "no-time.mkv", film(change=_mkv_claim(0)), COMPLETES),
    Case("an mkv that claims a negative time", "negative.mkv", film(change=_mkv_claim(-5)), COMPLETES),
    Case("an mkv whose length is no number", "nan.mkv", film(change=_mkv_claim(float("nan"))), COMPLETES),
    Case("an mkv whose length is infinite", "inf.mkv", film(change=_mkv_claim(float("inf"))), COMPLETES),
    Case("an mkv that claims 1 s and lasts 2 s", "short-claim.mkv", film(change=_mkv_claim(1)), INVALID),
    Case("two pictures 14 days apart", "days.mkv",
         film("-vf", "setpts=N*1209600/TB", "-frames:v", "2", "-fps_mode", "vfr", "-an"), fails("input_too_long")),
    Case("an mp4 whose pictures last 2 days and whose header says 2 s",
         "slow-motion.mp4", film("-an", change=_slow(12800)),
         INVALID),
    Case("an mp4 whose clock has 0 ticks in a second", "no-clock.mp4",
         film("-an", change=patch(b"mdhd", 16, bytes(4))), INVALID),
    Case("a film that begins after an hour", "late.ts", ffmpeg("-i", "FILM", "-c", "copy", "-output_ts_offset", "3600"),
         COMPLETES),
    Case("a film that begins before its beginning", "early.mkv",
         ffmpeg("-i", "FILM", "-c", "copy", "-avoid_negative_ts", "disabled", "-output_ts_offset", "-1"), INVALID),
    Case("a ts whose clock wraps around", "wrap.ts",
         ffmpeg("-i", "FILM", "-c", "copy", "-output_ts_offset", "95442.7"), COMPLETES),
    Case("a jump of an hour in the middle of a ts", "jump.ts",
         film("-vf", "setpts=PTS+gt(N\\,25)*3600/TB", "-fps_mode", "vfr", "-an"), TRUNCATED),
    Case("a ts whose clock begins anew in its middle", "anew.ts", film("-an", change=lambda data: data * 2), INVALID),
    Case("sound that begins 1 s behind the picture", "behind-sound.mkv",
         ffmpeg("-i", "FILM", "-itsoffset", "1", "-i", "FILM", "-map", "0:v", "-map", "1:a", "-c", "copy"), COMPLETES),
    Case("half a picture's time is asked for", "asked-less.mp4", film(), COMPLETES, parameters={"duration": 0.1}),
    Case("more is asked for than there is", "asked-more.mp4", film(), COMPLETES, parameters={"duration": 3600}),
)  # fmt: skip
