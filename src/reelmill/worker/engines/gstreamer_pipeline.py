"""A GStreamer pipeline as words of `gst-launch-1.0`: elements with quoted properties, never a string from a user.

gst-launch joins its arguments and parses them as one description, so every value is written in quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Value = str | int | Fraction


def element(factory: str, **properties: Value) -> list[str]:
    """One element with its properties, whose names are written with ``_`` for ``-``."""
    return [factory, *(f"{name.replace('_', '-')}={_quoted(value)}" for name, value in properties.items())]


def caps(media_type: str, **fields: Value) -> list[str]:
    """A filter that lets only this pass: ``caps("video/x-raw", width=640)``."""
    text = ",".join((media_type, *(f"{name.replace('_', '-')}={_field(value)}" for name, value in fields.items())))
    return element("capsfilter", caps=text)


def linked(*elements: Sequence[str]) -> list[str]:
    """Elements linked one to the next; empty ones are left out."""
    words: list[str] = []
    for each in elements:
        if each:
            words += ["!", *each] if words else each
    return words


def _quoted(value: Value) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _field(value: Value) -> str:
    return f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else str(value)
