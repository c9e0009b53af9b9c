"""What keeps a node from taking jobs is found and said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reelmill.worker.health import find_trouble

PROGRAM = Path(sys.executable)


def test_a_sound_machine_has_no_trouble(tmp_path: Path) -> None:
    """Its folder is there, has room, and the engine can be run."""
    assert find_trouble(tmp_path, 1, [PROGRAM]) is None


@pytest.mark.parametrize(
    ("folder", "min_free", "program", "said"),
    [
        ("gone", 0, PROGRAM, "its media folder cannot be reached (No such file or directory); mount it again"),
        ("", 10**18, PROGRAM, "free, less than `min_free` (1000000 TB); free some"),
        ("", 0, Path("/opt/gone/ffmpeg"), "its ffmpeg is gone or may not be run (/opt/gone/ffmpeg); install it again"),
    ],
)
def test_each_trouble_is_said_with_what_to_do(
    tmp_path: Path, folder: str, min_free: int, program: Path, said: str
) -> None:
    """A folder that is away, a full disk, an engine that is gone."""
    assert said in (find_trouble(tmp_path / folder, min_free, [program]) or "")
