"""Files that are no film at all, whatever they are called."""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import zipfile
import zlib
from pathlib import Path

from tests.bad_inputs.case import NOT_MEDIA, Case, fails
from tests.bad_inputs.kitchen import Kitchen, content, ffmpeg

_SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nhello\n\n"
_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1")
_TABLE = json.dumps({"streams": [{"codec_type": "video", "width": 640}]})


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("film.mp4", "no film")
    return file.getvalue()


def _sparse(_: Kitchen, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _program(_: Kitchen, path: Path) -> None:
    with Path(sys.executable).open("rb") as program:
        path.write_bytes(program.read(100_000))


def _only_subtitles(kitchen: Kitchen, path: Path) -> None:
    words = path.with_name("only-words.srt")
    words.write_text(_SUBTITLES)
    kitchen.ffmpeg("-i", words, "-c:s", "srt", f"file:{path}")
    words.unlink()


def huge_png() -> bytes:
    """A valid PNG of 12000 x 12000 black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(12_000 * (1 + 1_500)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _huge(_: Kitchen, path: Path) -> None:
    path.write_bytes(huge_png())


CASES = (
    Case("an empty file", "empty.mp4", content(b""), NOT_MEDIA),
    Case("one byte", "one-byte.mp4", content(b"\0"), NOT_MEDIA),
    Case("a line end", "line-end.mkv", content(b"\n"), NOT_MEDIA),
    Case("64 KB of noise", "noise.mkv", content(random.Random(1).randbytes(1 << 16)), NOT_MEDIA),
    Case("64 KB of zeros", "zeros.ts", content(bytes(1 << 16)), NOT_MEDIA),
    Case("a sparse file of 1 TB", "sparse.mp4", _sparse, NOT_MEDIA),
    Case("a text", "text.mp4", content("just some words\n" * 1000), NOT_MEDIA),
    Case("one line of 1 MB", "long-line.mp4", content("x" * (1 << 20)), NOT_MEDIA),
    Case("HTML, such as the page of a failed download", "page.mp4",
         content("<!doctype html><title>404 Not Found</title><video src='URL/x.mp4'>" * 20), NOT_MEDIA),
    Case("JSON", "answer.mp4", content(_TABLE), NOT_MEDIA),
    Case("XML with an external entity", "entity.mp4",
         content('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file://OUTSIDE/secret.txt">]><a>&b;</a>'),
         NOT_MEDIA),
    Case("a ZIP archive", "archive.mp4", content(_zip()), NOT_MEDIA),
    Case("a gzip file", "packed.mp4", content(b"\x1f\x8b\x08\0" + bytes(100)), NOT_MEDIA),
    Case("a PDF", "paper.mp4",
         content("%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<<>>\n%%EOF\n" * 9), NOT_MEDIA),
    Case("a program (ELF)", "program.mp4", _program, NOT_MEDIA),
    Case("a shell script", "script.mp4", content("#!/bin/sh\ncat OUTSIDE/secret.txt\n"), NOT_MEDIA),
    Case("a PNG", "still.png", ffmpeg(*_PICTURE), NOT_MEDIA),
    Case("a PNG named as an mp4", "png.mp4", ffmpeg(*_PICTURE, "-c:v", "png", "-f", "image2pipe"), NOT_MEDIA),
    Case("a JPEG", "still.jpg", ffmpeg(*_PICTURE), NOT_MEDIA),
    Case("a GIF that moves", "moving.gif", ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:duration=1"), NOT_MEDIA),
    Case("a WebP", "still.webp", ffmpeg(*_PICTURE), NOT_MEDIA),
    Case("an SVG that embeds a file", "drawing.svg",
         content('<svg xmlns="http://www.w3.org/2000/svg"><image href="file://OUTSIDE/secret.txt"/></svg>'), NOT_MEDIA),
    Case("a PNG of 12000 x 12000 pixels (18 KB)", "huge.png", _huge, NOT_MEDIA),
    Case("subtitles (SRT)", "words.srt", content(_SUBTITLES * 9), NOT_MEDIA),
    Case("subtitles (SRT) named as an mp4", "words.mp4", content(_SUBTITLES * 9), NOT_MEDIA),
    Case("subtitles (WebVTT)", "words.vtt", content("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n"), NOT_MEDIA),
    Case("subtitles (ASS)", "words.ass", content("[Script Info]\nScriptType: v4.00+\n[Events]\n"), NOT_MEDIA),
    Case("subtitles in an mkv", "words.mkv", _only_subtitles,
         fails("no_video_stream")),
    Case("ffmpeg's own list of tags", "tags.mp4",
         content(";FFMETADATA1\ntitle=x\n[CHAPTER]\nSTART=0\nEND=9\n"), NOT_MEDIA),
    Case("a torrent", "film.torrent", content("d8:announce20:URL4:infod6:lengthi9eee"), NOT_MEDIA),
)  # fmt: skip
