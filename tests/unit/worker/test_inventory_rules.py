"""Which ffmpeg is newer."""

from __future__ import annotations

import pytest

from reelmill.worker.inventory import version_key


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("n9.0.2-17-g2a571b6068-20260930", (9, 0, 2)),
        ("7.1.1-1+b1", (7, 1, 1)),
        ("6.1", (6, 1, 0)),
        ("n10.0", (10, 0, 0)),
        ("N-118000-gdeadbeef", ()),
        ("git-2020-01-01", ()),
    ],
)
def test_versions_compare_as_numbers(version: str, key: tuple[int, ...]) -> None:
    """10.0 is newer than 9.0, and a nightly build without numbers is newer than nothing."""
    assert key == version_key(version)
