"""Names that people give to things and that stand in paths and logs: tenants, tokens."""

from __future__ import annotations

import re

from reelmill.errors import InvalidField

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(field: str, name: str, what: str) -> None:
    """InvalidField when that cannot be ``what``, such as "a tenant's name"."""
    if not _NAME.fullmatch(name):
        sentence = f"{name[:64]!r} is not {what} (1 to 64 letters, digits, . _ -; the first a letter or digit)"
        raise InvalidField(field, sentence)
