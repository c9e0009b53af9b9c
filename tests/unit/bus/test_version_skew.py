"""Masters and workers of neighbouring versions understand each other: a fleet is upgraded one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.unit.bus.test_words import WORDS

FROZEN: dict[str, Any] = json.loads((Path(__file__).parent / "words-0.1.json").read_text())
"""The same words as version 0.1 says them. A version that changes words adds a file of its own and drops the oldest."""

_DICTS = ("engines", "labels", "features", "output_headers", "write_headers")
"""In which each entry means something."""

every_word = pytest.mark.parametrize(("kind", "word"), WORDS)


def _name(word: object) -> str:
    return f"list of {_name(cast(list[object], word)[0])}" if isinstance(word, list) else type(word).__name__


@every_word
def test_a_word_of_the_version_before_is_understood(kind: Any, word: object) -> None:
    """What it does not say has a default."""
    assert word == msgspec.msgpack.decode(msgspec.msgpack.encode(FROZEN[_name(word)]), type=kind)


@every_word
def test_a_word_is_understood_by_the_version_before(kind: Any, word: object) -> None:
    """It reads what it knows, and passes over the rest: all that it knows must be there, and mean the same."""
    assert [] == list(_missing(FROZEN[_name(word)], msgspec.to_builtins(word)))


@every_word
def test_what_a_later_version_adds_is_passed_over(kind: Any, word: object) -> None:
    """Wherever it stands in a word."""
    later = _add(msgspec.to_builtins(word))
    assert word == msgspec.msgpack.decode(msgspec.msgpack.encode(later), type=kind)


def _missing(known: object, said: object, place: str = "") -> Iterator[str]:
    match known, said:
        case dict(), dict():
            for key, value in cast(dict[str, object], known).items():
                there = cast(dict[str, object], said)
                yield from _missing(value, there.get(key, "nothing"), f"{place}.{key}")
        case list(), list() if len(cast(list[object], known)) == len(cast(list[object], said)):
            for value, other in zip(cast(list[object], known), cast(list[object], said), strict=True):
                yield from _missing(value, other, f"{place}[]")
        case _ if known != said:
            yield f"{place} was {known!r} and is {said!r}"
        case _:
            pass


def _add(part: object, name: str = "") -> object:
    """With one field more in every object but those in which each entry means something."""
    if isinstance(part, list):
        return [_add(item) for item in cast(list[object], part)]
    if not isinstance(part, dict):
        return part
    more = {key: _add(value, key) for key, value in cast(dict[str, object], part).items()}
    return more if name in _DICTS else {**more, "added later": [1, {"more": True}]}
