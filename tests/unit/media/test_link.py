"""Signed links: what they are good for, and how long."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import Forbidden
from reelmill.media.link import attempt_link, check_link, input_link

SECRET, KEY = b"s" * 32, AttemptKey("0199-job", 3)


def query_of(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


@pytest.mark.parametrize("path", ["in.mp4", "a b/ü&c=d?#.mp4", "100%.mp4"])
def test_a_link_comes_back_as_it_was_made(path: str) -> None:
    """Whatever the name of the file."""
    query = query_of(input_link(SECRET, KEY, path, 1000))
    assert path == query["path"]
    assert KEY == check_link(SECRET, "read", path, query["attempt"], 1000, query["signature"], now=1000)


def test_a_link_ends() -> None:
    """One second behind its end it is no good."""
    query = query_of(attempt_link(SECRET, KEY, 1000))
    with pytest.raises(Forbidden, match="expired"):
        check_link(SECRET, "fill", "", "0199-job.3", 1000, query["signature"], now=1001)


def test_a_signature_is_good_for_one_deed_one_attempt_one_end_and_one_farm() -> None:
    """Any other is refused, and so is what is no signature at all."""
    signature = query_of(attempt_link(SECRET, KEY, 1000))["signature"]
    wrong = [
        (b"t" * 32, "fill", "", "0199-job.3", 1000, signature),
        (SECRET, "read", "", "0199-job.3", 1000, signature),
        (SECRET, "fill", "x", "0199-job.3", 1000, signature),
        (SECRET, "fill", "", "0199-job.33", 1000, signature),
        (SECRET, "fill", "", "0199-job.3", 9000, signature),
        (SECRET, "fill", "", "0199-job.3", 1000, ""),
        (SECRET, "fill", "", "0199-job.3", 1000, "\udcff"),
    ]
    for secret, deed, path, attempt, expires, signed in wrong:
        with pytest.raises(Forbidden, match="not signed"):
            check_link(secret, deed, path, attempt, expires, signed, now=0)  # type: ignore[arg-type]
