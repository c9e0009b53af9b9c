"""The query string of GET /jobs: read, or the parameter that is wrong is named."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelmill.errors import InvalidField
from reelmill.master.api.answers import JOB_FIELDS
from reelmill.master.api.job_query import MAX_LABELS, MAX_LIMIT, MAX_VALUES, read_query


class Given:
    """Parameters as a server hands them over."""

    def __init__(self, **given: list[str]) -> None:
        self._given = given

    def dict(self) -> Mapping[str, list[str]]:
        return self._given


def test_no_parameters_ask_for_everything() -> None:
    """Oldest first, all fields, no limit."""
    query = read_query(Given())

    assert (None, None, False, list(JOB_FIELDS)) == (query.after, query.limit, query.newest_first, query.fields)


def test_lists_may_be_repeated_or_joined_with_commas() -> None:
    """Both mean the same."""
    query = read_query(Given(status=["queued,running", "failed"], label=["team:a", "x:b:c"], scenario=["2160P30-H264"]))

    assert ["queued", "running", "failed"] == query.wanted.status
    assert {"team": "a", "x": "b:c"} == query.wanted.labels
    assert ["4K30-h264"] == query.wanted.scenario


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "done"),
        ("status", "queued,nope"),
        ("queue", "express"),
        ("priority", "urgent"),
        ("engine", "x264"),
        ("scenario", "8K"),
        ("fields", "password"),
        ("order", "random"),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", str(MAX_LIMIT + 1)),
        ("limit", "9" * 5000),
        ("limit", "ten"),
        ("limit", "1.5"),
        ("limit", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("cursor", "x"),
        ("launch", "a\0b"),
        ("cursor", str(2**63)),
        ("label", "no-colon"),
        ("label", 'a"b:c'),
        ("label", "\0:c"),
        ("colour", "red"),
        ("statuss", "queued"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(name: str, value: str) -> None:
    """A typo must not answer with every job there is."""
    with pytest.raises(InvalidField) as caught:
        read_query(Given(**{name: [value]}))

    assert name == caught.value.field
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("name", "most"), [("label", MAX_LABELS), *((name, MAX_VALUES) for name in ("node", "tenant", "launch"))]
)
def test_more_filters_than_a_database_takes_are_refused_by_name(name: str, most: int) -> None:
    """Asking again would not help, so that it is a user's error and not a database's."""
    values = [f"n{n}:x" for n in range(most + 1)]

    read_query(Given(**{name: values[:most]}))
    for asked in [values] if name == "label" else [values, [",".join(values)]]:
        with pytest.raises(InvalidField, match=str(most)) as caught:
            read_query(Given(**{name: asked}))
        assert name == caught.value.field


@given(st.sampled_from(["status", "limit", "cursor", "label", "fields", "order", "scenario", "node"]), st.text())
def test_no_text_makes_the_check_itself_fail(name: str, value: str) -> None:
    """A query or InvalidField, whatever is asked."""
    with contextlib.suppress(InvalidField):
        read_query(Given(**{name: [value]}))
