"""Names that shells, URLs, terminals or ffmpeg would read as something else."""

from __future__ import annotations

import os

from tests.bad_inputs.case import COMPLETES, REFUSED, Answer, Case
from tests.bad_inputs.kitchen import film, nothing


def _named(what: str, file: str, answer: Answer = COMPLETES) -> Case:
    return Case(f"a name with {what}", file, film(suffix=".mp4", seconds=0.4), answer)


CASES = (
    _named("spaces", "my  film .mp4"),
    _named("a space in front", " film.mp4"),
    _named("a space behind", "film.mp4 "),
    _named("a leading dash", "-i.mp4"),
    _named("an option of ffmpeg", "-f lavfi.mp4"),
    _named("a colon", "a:b.mp4"),
    _named("a protocol", "http:x.mp4"),
    _named("`file:` in front", "file:film.mp4"),
    _named("a pipe", "a|b.mp4"),
    _named("`concat:` in front", "concat:a|b.mp4"),
    _named("a percent sign", "100%d.mp4"),
    _named("an escape of URLs", "a%2e%2e%2fb.mp4"),
    _named("quotes", "it's \"new\".mp4"),
    _named("a command for a shell", "$(touch x);`touch y`.mp4"),
    _named("a backslash", "a\\b.mp4"),
    _named("stars and brackets", "a*?[b]{c}.mp4"),
    _named("an emoji", "🎬.mp4"),
    _named("other scripts, right to left", "فيلم-電影.mp4"),
    _named("a mark that turns the direction of writing", "a\u202e4pm.mp4"),
    _named("a combining accent", "cafe\u0301.mp4"),
    _named("255 bytes", "n" * 251 + ".mp4"),
    _named("255 bytes of emoji", "🎬" * 62 + "abc.mp4"),
    _named("no suffix", "film"),
    _named("a suffix of another format", "film.avi.txt"),
    _named("capitals in its suffix", "FILM.MP4"),
    _named("only a dot and a suffix", ".mp4"),
    _named("a line break", "new\nline.mp4", REFUSED),
    _named("an escape of terminals", "red\x1b[31m.mp4", REFUSED),
    _named("a tab", "a\tb.mp4", REFUSED),
    _named("bytes that are no text", os.fsdecode(b"caf\xe9.mp4"), Answer("refused", None, "malformed_json")),
    _named("256 bytes", "n" * 252 + ".mp4", REFUSED)._replace(make=nothing),
    _named("a NUL", "a\0b.mp4", REFUSED)._replace(make=nothing),
)  # fmt: skip
