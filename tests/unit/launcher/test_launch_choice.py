"""Which launch is meant."""

from __future__ import annotations

import pytest

from reelmill.errors import NotFound, UsageError
from reelmill.launcher.answers import LaunchHead
from reelmill.launcher.launch_choice import choose_launch


def head(launch_id: str, name: str | None = None) -> LaunchHead:
    return LaunchHead(id=launch_id, name=name, created_at=None, total=1, open=0, counts={})


NEWEST_FIRST = [head("0191-bb", "nightly"), head("0191-aa", "nightly"), head("0190-aa")]


@pytest.mark.parametrize(
    ("reference", "found"),
    [("latest", "0191-bb"), ("0190", "0190-aa"), ("0191-a", "0191-aa"), ("nightly", "0191-bb")],
)
def test_a_launch_is_found(reference: str, found: str) -> None:
    """By the word for the newest, the beginning of its id, or its name, of which the newest counts."""
    assert found == choose_launch(NEWEST_FIRST, reference).id


@pytest.mark.parametrize("reference", ["0192", "", "nightl", "../jobs"])
def test_what_no_launch_is_called_is_not_found(reference: str) -> None:
    with pytest.raises(NotFound, match="there is no launch"):
        choose_launch(NEWEST_FIRST, reference)
    with pytest.raises(NotFound, match="no launch yet"):
        choose_launch([], "latest")


def test_a_beginning_that_several_have_is_refused() -> None:
    """With their ids, so that one can be chosen."""
    with pytest.raises(UsageError, match=r"2 launches begin with '0191'; .*: 0191-bb, 0191-aa"):
        choose_launch(NEWEST_FIRST, "0191")
