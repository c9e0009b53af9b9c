"""Text from elsewhere, made fit to be shown: nothing in it can move a cursor, colour a line or turn its order round."""

from __future__ import annotations

import re

# C0 but newline and tab, DEL, C1, lone surrogates, and the marks that reverse the direction of text.
_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile(r"[\n\t\r]+")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def showable(text: str) -> str:
    """The text with its control characters written out, such as ``\\x1b``; newlines and tabs stay."""
    return _UNSHOWABLE.sub(_escape, text)


def one_line(text: str) -> str:
    """The text with its control characters written out, in one line."""
    return showable(_BREAKS.sub(" ", text))
