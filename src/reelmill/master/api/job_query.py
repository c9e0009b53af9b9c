"""The query string of GET /jobs, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from reelmill.domain.job import ENGINES, PRIORITIES, QUEUES, STATUSES
from reelmill.domain.scenario import find_scenario
from reelmill.domain.suggestion import unknown_name
from reelmill.errors import InvalidField, NotFound
from reelmill.master.api.answers import JOB_FIELDS
from reelmill.store.selection import JobFilter

MAX_LIMIT = 10_000
MAX_VALUES = 100
MAX_LABELS = 32
_LISTS = ("status", "queue", "priority", "scenario", "engine", "launch", "node", "tenant", "parent")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": STATUSES,
    "queue": QUEUES,
    "priority": PRIORITIES,
    "engine": ENGINES,
    "fields": JOB_FIELDS,
    "order": ("asc", "desc"),
}
_NAMES = (*_LISTS, "label", "limit", "cursor", "fields", "order")


class QueryParameters(Protocol):
    """The parameters of a query string; a name may come several times."""

    def dict(self) -> Mapping[str, list[str]]: ...


class JobQuery(NamedTuple):
    """Which jobs, which page of them, and which of their fields; ``limit`` None means all."""

    wanted: JobFilter
    after: int | None
    limit: int | None
    newest_first: bool
    fields: list[str]


def read_query(parameters: QueryParameters) -> JobQuery:
    """The query; InvalidField when a parameter or its value makes no sense."""
    given = parameters.dict()
    check_names(given, _NAMES)
    values = {name: split(given.get(name, [])) for name in (*_LISTS, "fields", "order")}
    for name, some in values.items():
        check_values(name, some, _CHOICES.get(name))
    if (labels := len(given.get("label", []))) > MAX_LABELS:
        raise InvalidField("label", f"has {labels} values; a query takes {MAX_LABELS}")
    values["scenario"] = [_scenario(name) for name in values["scenario"]]
    fields = list(dict.fromkeys(values.pop("fields"))) or list(JOB_FIELDS)
    newest_first = "desc" in values.pop("order")
    limit = read_number("limit", given.get("limit"), 1, MAX_LIMIT)
    return JobQuery(
        wanted=JobFilter(**values, labels=_labels(given.get("label", []))),
        after=read_number("cursor", given.get("cursor"), 0, 2**63 - 1),
        limit=limit,
        newest_first=newest_first,
        fields=fields,
    )


def check_names(given: Mapping[str, list[str]], known: tuple[str, ...]) -> None:
    """InvalidField for a parameter that is not known, or one that no database could look for."""
    for name in given:
        if name not in known:
            raise InvalidField(name[:60], unknown_name("query parameter", name, known))
        if any("\0" in value for value in given[name]):  # PostgreSQL would refuse the whole query
            raise InvalidField(name, "contains a NUL character, which nothing here has")


def check_values(name: str, values: list[str], choices: tuple[str, ...] | None = None) -> None:
    """InvalidField for too many values, or one that is not among the choices."""
    if len(values) > MAX_VALUES:  # a database has its limits too, and would name nothing
        raise InvalidField(name, f"has {len(values)} values; a query takes {MAX_VALUES}")
    for value in values:
        if choices is not None and value not in choices:
            raise InvalidField(name, unknown_name(name, value, choices))


def split(values: list[str]) -> list[str]:
    """The values of a parameter that came several times, or with commas."""
    return [part for value in values for part in value.split(",") if part]


def _scenario(name: str) -> str:
    try:
        return find_scenario(name).name
    except NotFound as error:
        raise InvalidField("scenario", str(error)) from None


def read_number(name: str, given: list[str] | None, low: int, high: int) -> int | None:
    """The number that a parameter has, if it is there; InvalidField when it is none, or not in between."""
    if not given:
        return None
    text = given[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise InvalidField(name, f"{text[:60]!r} must be a whole number from {low} to {high}")
    return int(text)


def _labels(given: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in given:
        name, found, value = text.partition(":")
        if not found:
            raise InvalidField("label", f"{text[:60]!r} must be name:value")
        if '"' in name or not name.isprintable():
            raise InvalidField("label", f"{name[:60]!r} is not a label name")
        labels[name] = value
    return labels
