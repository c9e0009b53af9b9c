"""Fixtures for tests of engines: real media, made by the real ffmpeg, and the real probe process."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from reelmill.worker.inventory import Ffmpeg, find_ffmpeg
from reelmill.worker.probe import Probe

MakeMedia = Callable[..., Path]


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    """The ffmpeg that this machine would use."""
    return find_ffmpeg()


@pytest.fixture
def make_media(ffmpeg: Ffmpeg, tmp_path: Path) -> MakeMedia:
    """Makes a film in the test's folder: ``options`` are ffmpeg's for the output, ``sound`` adds a tone."""

    def make(
        name: str, *options: str, seconds: float = 2, size: str = "320x240", rate: int = 25, sound: bool = True
    ) -> Path:
        path = tmp_path / name
        tone = ["-f", "lavfi", "-i", f"sine=duration={seconds}"] if sound else []
        argv = [
            *(str(ffmpeg.path), "-v", "error", "-nostdin", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}", *tone),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *options, f"file:{path}"),
        ]
        subprocess.run(argv, check=True)
        return path

    return make


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    """A running probe."""
    probe = Probe()
    await probe.start()
    yield probe
    await probe.stop()
