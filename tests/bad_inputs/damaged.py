"""Films of which a part is missing, wrong or scrambled."""

from __future__ import annotations

import random

from tests.bad_inputs.case import COMPLETES, INVALID, NOT_MEDIA, TRUNCATED, Case, fails
from tests.bad_inputs.kitchen import Change, cut, film, overwrite, patch, put

_FAST = ("-movflags", "+faststart")
_FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")
_AAC = ("-c:a", "aac")
_VP9 = ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime")


def _noise(length: int) -> bytes:
    return random.Random(7).randbytes(length)


def _flip(share: float) -> Change:
    """One bit in that share of the bytes is wrong, from the file's first tenth on."""

    def change(data: bytes) -> bytes:
        draw, changed = random.Random(11), bytearray(data)
        for at in range(len(data) // 10, len(data)):
            if draw.random() < share:
                changed[at] ^= 1 << draw.randrange(8)
        return bytes(changed)

    return change


CASES = (
    Case("the first 100 bytes of an mp4", "head.mp4", film(change=lambda d: d[:100]), TRUNCATED),
    Case("the first half of an mp4 whose index is at its end", "half.mp4", film(change=cut(0.5)), TRUNCATED),
    Case("an mp4 without its last bytes, and so without its index", "tail.mp4", film(change=cut(0.99)), TRUNCATED),
    Case("the first half of an mp4 whose index is in front", "half-fast.mp4",
         film(*_FAST, change=cut(0.5)), TRUNCATED),
    Case("an mp4 whose last tenth is missing", "tail-fast.mp4", film(*_FAST, change=cut(0.85)), TRUNCATED),
    Case("a fragmented mp4 cut in half: it names no length", "half-frag.mp4",
         film(*_FRAGMENTS, change=cut(0.5)), COMPLETES),
    Case("an mp4 without its index", "no-moov.mp4", film(change=put(b"moov", b"junk")), TRUNCATED),
    Case("an mp4 of which only the index is left", "only-index.mp4",
         film(*_FAST, change=lambda d: d[: d.find(b"mdat")]), TRUNCATED),
    Case("an mp4 whose media is all zero", "zeros.mp4", film(*_FAST, change=overwrite(0.3, 1, bytes)), INVALID),
    Case("an mp4 whose media is noise", "noise.mp4", film(*_FAST, change=overwrite(0.3, 1, _noise)), INVALID),
    Case("an mp4 whose first bytes are zero", "no-head.mp4", film(change=overwrite(0, 0.01, bytes)), NOT_MEDIA),
    Case("an mp4 with a table of sample sizes that is noise", "sizes.mp4",
         film(change=patch(b"stsz", 12, _noise(64))), TRUNCATED),
    Case("an mp4 whose last box claims to be 4 GB", "boxes.mp4",
         film(change=patch(b"moov", -4, b"\xff" * 4)), COMPLETES),
    Case("an mp4 whose codec is unknown", "codec.mp4", film(change=put(b"avc1", b"zzzz")),
         fails("decoder_unavailable", "capability_mismatch")),
    Case("an mp4 said to be encrypted (CENC)", "encrypted.mp4",
         film(*("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb",
                "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")), fails("input_encrypted")),
    Case("an mp4 with one wrong bit in a thousand bytes", "flips.mp4", film(*_FAST, change=_flip(0.001)), COMPLETES),
    Case("the first 100 bytes of an mkv", "head.mkv", film(change=lambda d: d[:100]), INVALID),
    Case("the first half of an mkv", "half.mkv", film(change=cut(0.5)), TRUNCATED),
    Case("an mkv whose last tenth is missing", "tail.mkv", film(change=cut(0.85)), TRUNCATED),
    Case("an mkv whose middle is zero", "middle.mkv", film(change=overwrite(0.3, 0.9, bytes)), TRUNCATED),
    Case("an mkv with one wrong bit in a thousand bytes", "flips.mkv", film(change=_flip(0.001)), COMPLETES),
    Case("the first half of a webm", "half.webm", film(*_VP9, change=cut(0.5)), TRUNCATED),
    Case("a ts of which only the first packet is there", "head.ts", film(change=lambda d: d[:188]), NOT_MEDIA),
    Case("the first half of a ts: it names no length", "half.ts", film(change=cut(0.5)), COMPLETES),
    Case("a ts that begins in its middle", "tail.ts", film(change=lambda d: d[len(d) // 2 // 188 * 188 :]), COMPLETES),
    Case("a ts whose packets have lost their step", "step.ts", film(change=lambda d: d[:5000] + d[5100:]), COMPLETES),
    Case("a ts without its tables of streams", "tables.ts", film(change=lambda d: d[188 * 3 :]), COMPLETES),
    Case("the first half of an avi", "half.avi", film(change=cut(0.5)), TRUNCATED),
    Case("the first half of an flv", "half.flv", film("-ar", "44100", change=cut(0.5)), TRUNCATED),
    Case("an mp4 behind an ID3 tag and a text", "behind.mp4", film(change=lambda d: b"hello\n" * 50 + d), NOT_MEDIA),
    Case("two mp4 one behind the other: the first is read", "two.mp4",
         film(*_FAST, change=lambda d: d + d), COMPLETES),
    Case("an mp4 followed by a megabyte of noise", "appended.mp4",
         film(change=lambda d: d + _noise(1 << 20)), COMPLETES),
    Case("an mp4 whose last part is noise", "sound.mp4",
         film(*_AAC, *_FAST, change=overwrite(0.6, 1, _noise)), TRUNCATED),
    Case("a raw H.264 stream without its parameter sets", "bare.h264",
         film("-g", "250", sound=False, change=lambda d: d[d.find(b"\x00\x00\x01\x65") :]), INVALID),
)  # fmt: skip
