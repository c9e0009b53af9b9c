"""Which ffmpeg is newer, and how many cores a container may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.worker.inventory import read_quota, version_key


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


@pytest.mark.parametrize(("content", "quota"), [("150000 100000", 1.5), ("max 100000", None), ("nonsense", None)])
def test_a_version_2_groups_quota_is_in_cores(tmp_path: Path, content: str, quota: float | None) -> None:
    """``cpu.max`` is microseconds per period, or no limit."""
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert quota == read_quota(tmp_path)


@pytest.mark.parametrize(("micros", "quota"), [("400000", 4.0), ("-1", None)])
def test_a_version_1_groups_quota_is_in_cores(tmp_path: Path, micros: str, quota: float | None) -> None:
    """The older interface keeps quota and period in two files."""
    (tmp_path / "cpu.cfs_quota_us").write_text(micros + "\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert quota == read_quota(tmp_path)


def test_a_folder_without_a_group_sets_no_quota(tmp_path: Path) -> None:
    """What is not there limits nothing."""
    assert read_quota(tmp_path) is None
