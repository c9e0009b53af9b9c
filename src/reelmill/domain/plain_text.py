"""Free texts of users and programs."""

from __future__ import annotations

from reelmill.errors import InvalidField


def check_plain(field: str, text: str, most: int) -> None:
    """InvalidField when a free text is longer than ``most`` characters or cannot be stored."""
    if len(text) > most:
        raise InvalidField(field, f"is longer than {most} characters")
    if "\0" in text:  # which no database stores
        raise InvalidField(field, "contains a NUL character")


def without_nul(text: str) -> str:
    """The words of a program as far as a database stores them: a NUL becomes U+FFFD."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
