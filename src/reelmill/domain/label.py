"""Labels: names with values that jobs and nodes carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reelmill.domain.plain_text import check_plain
from reelmill.errors import InvalidField

MOST_LABELS, MOST_LABEL_CHARS = 32, 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def check_labels(field: str, labels: Mapping[str, str]) -> None:
    """InvalidField when there are too many labels, or one is too long or could not be asked for."""
    if len(labels) > MOST_LABELS:
        raise InvalidField(field, f"has {len(labels)} entries; {MOST_LABELS} are allowed")
    for name, value in labels.items():
        if len(name) > MOST_LABEL_CHARS or not _NAME.fullmatch(name):
            raise InvalidField(field, f"{name[:MOST_LABEL_CHARS]!r} is not a label name (letters, digits, . _ / -)")
        check_plain(f"{field}.{name}", value, MOST_LABEL_CHARS)


def parse_labels(field: str, written: Iterable[str]) -> dict[str, str]:
    """Labels that are written ``name=value``; InvalidField when one is not, or a name has two values."""
    labels: dict[str, str] = {}
    for text in written:
        name, equals, value = text.strip().partition("=")
        if not equals:
            raise InvalidField(field, f"{text[:60]!r} is not a label; write NAME=VALUE, such as gpu=yes")
        if not value:
            raise InvalidField(field, f"{text[:60]!r} has no value; write NAME=VALUE, such as gpu=yes")
        if labels.setdefault(name, value) != value:
            raise InvalidField(field, f"{name[:60]!r} is given twice, as {labels[name][:60]!r} and {value[:60]!r}")
    check_labels(field, labels)
    return labels
