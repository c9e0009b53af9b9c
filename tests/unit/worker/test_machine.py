"""How many cores and how much memory a container may use, and where programs are."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.worker.machine import find_program, read_memory_limit, read_quota, usable_memory


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


@pytest.mark.parametrize("name", ["memory.max", "memory.limit_in_bytes"])
def test_a_groups_limit_of_memory_is_in_bytes(tmp_path: Path, name: str) -> None:
    """In either version of the interface; a group that sets none says so with a word, or is silent."""
    assert read_memory_limit(tmp_path) is None
    (tmp_path / name).write_text("max\n")
    assert read_memory_limit(tmp_path) is None
    (tmp_path / name).write_text("536870912\n")
    assert read_memory_limit(tmp_path) == 512 * 1024**2


def test_the_memory_of_this_machine_is_known() -> None:
    """It is no more than the kernel says."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < usable_memory() <= int(fields["MemTotal"].split()[0]) * 1024


def test_a_program_is_found_without_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may be started with any PATH; what it names comes first, and a relative place is made absolute."""
    monkeypatch.setenv("PATH", "/nowhere")
    found = find_program("env")
    assert found is not None
    assert found.is_absolute()
    assert find_program("no-such-program") is None

    (tmp_path / "bin").mkdir()
    own = tmp_path / "bin" / "env"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin")
    assert own == find_program("env")
