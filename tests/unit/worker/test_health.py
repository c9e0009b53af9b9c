"""What keeps a node from taking jobs is found and said."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from reelmill.worker.health import Health, find_trouble

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


async def test_a_media_folder_that_does_not_answer_is_trouble_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said although the look has not ended; it is asked once, and when it answers all is well again."""
    monkeypatch.setattr("reelmill.worker.health.ANSWER_SECONDS", 0.05)
    answers, asked, told = threading.Event(), [0], list[str | None]()

    def find() -> str | None:
        asked[0] += 1
        answers.wait(30)
        return None

    async def note(trouble: str | None) -> None:
        told.append(trouble)

    health = Health(find, note, 60.0)
    await health.run_once()
    await health.run_once()
    assert ["its media folder does not answer; look at its disk or network share"] * 2 == told
    answers.set()
    monkeypatch.setattr("reelmill.worker.health.ANSWER_SECONDS", 30)
    assert await health.run_once() is None
    assert [1] == asked


async def test_a_look_of_a_moment_ago_will_do_unless_it_is_doubted() -> None:
    """Jobs that end by the thousand need not each ask the disk; one that has failed makes the next one ask."""
    asked = list[None]()

    async def note(trouble: str | None) -> None:
        assert trouble is None

    health = Health(lambda: asked.append(None), note, 60.0)
    for _ in range(3):
        await health.recent()
    assert 1 == len(asked)
    health.doubt()
    for _ in range(3):
        await health.recent()
    assert 2 == len(asked)
