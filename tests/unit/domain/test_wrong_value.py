"""What a decoder says of a wrong value, in words for people who never heard of its types."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from reelmill.domain.wrong_value import read_complaint

CASES: list[tuple[Any, Any, str, str]] = [
    (dict[str, int | None], {"a": "x"}, "[...]", "must be a whole number or null, not text"),
    (float, [], "", "must be a number, not a list"),
    (int, 4.5, "", "must be a whole number, not a number with a fraction"),
    (str, 4.5, "", "must be text, not a number"),
    (list[bool], [{}], "[0]", "must be true or false, not an object"),
    (str | float, True, "", "must be a number or text, not true or false"),
    (Annotated[int, msgspec.Meta(ge=1)], 0, "", "must be a whole number >= 1"),
    (Annotated[str, msgspec.Meta(max_length=2)], "abc", "", "must be text of length <= 2"),
]


@pytest.mark.parametrize(("kind", "value", "path", "message"), CASES)
def test_a_wrong_value_is_told_in_plain_words(kind: Any, value: object, path: str, message: str) -> None:
    """Where it is, what it must be, what it was: no names of types, no backticks."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, kind)
    assert (path, message) == read_complaint(str(caught.value))
