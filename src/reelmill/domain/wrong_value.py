"""A decoder's complaint about a value in plain words: where it is, what it must be, and what it was instead."""

from __future__ import annotations

import re
from typing import NamedTuple

_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`(?P<bound>[^,]*)(?:, got `(?P<got>[^`]*)`)?")
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


class WrongValue(NamedTuple):
    """``path`` is dotted and may be empty: then the whole is wrong. ``message`` goes on behind it."""

    path: str
    message: str


def read_complaint(message: str) -> WrongValue:
    """The text of a `msgspec.ValidationError`, taken apart."""
    path = ""
    if place := _PLACE.search(message):
        path = place["path"].lstrip(".")
        message = message[: place.start()]
    if expected := _EXPECTED.fullmatch(message):
        instead = f", not {_name_got(expected['wanted'], expected['got'])}" if expected["got"] else ""
        return WrongValue(path, f"must be {_name(expected['wanted'])}{expected['bound']}{instead}")
    return WrongValue(path, message[:1].lower() + message[1:])


def _name(kinds: str) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))


def _name_got(wanted: str, got: str) -> str:
    return "a number with a fraction" if got == "float" and "int" in wanted.split(" | ") else _name(got)
