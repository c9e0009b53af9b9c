"""A small machine uses fewer units, and says why; an ordinary one uses all."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from reelmill.worker.shortage import (
    file_limit,
    find_file_shortage,
    find_full_temporary_folder,
    find_memory_shortage,
    open_files,
)


@pytest.mark.parametrize(
    ("units", "memory", "left"),
    [(8, 512 * 1024**2, 1), (8, 10**9, 4), (2, 10**6, 1), (1, 10**6, None), (2, 10**9, None), (64, 32 * 10**9, None)],
)
def test_little_memory_is_shared_by_fewer(units: int, memory: int, left: int | None) -> None:
    """About 200 MB for each unit, and never none at all."""
    found = find_memory_shortage(units, memory)
    assert left == (found and found.units)


def test_the_reason_says_what_there_is_and_what_to_do() -> None:
    """In figures and commands."""
    memory, files = find_memory_shortage(8, 536_870_912), find_file_shortage(8, 50, 24)
    assert memory is not None
    assert files is not None
    assert memory.reason.startswith(
        "uses 1 of 8 units: there are 537 MB of memory, and a unit needs about 200 MB; give"
    )
    assert files.reason == "uses 3 of 8 units: it may have only 50 files open; raise that limit (`ulimit -n 1024`)"


@pytest.mark.parametrize(
    ("units", "limit", "in_use", "left"), [(8, 50, 24, 3), (8, 20, 24, 1), (8, 1024, 24, None), (2, 50, 24, None)]
)
def test_few_files_are_shared_by_fewer(units: int, limit: int, in_use: int, left: int | None) -> None:
    """Four for each job beside what is open anyway, and never none at all."""
    found = find_file_shortage(units, limit, in_use)
    assert left == (found and found.units)


def test_the_files_of_this_process_are_counted() -> None:
    """One more is one more."""
    before = open_files()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        assert before + 1 == open_files()
    finally:
        os.close(descriptor)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == file_limit()


def test_a_temporary_folder_with_room_or_none_at_all_is_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a full one is worth a word."""
    for folder in (tmp_path, tmp_path / "gone"):
        monkeypatch.setenv("TMPDIR", str(folder))
        assert find_full_temporary_folder() is None
