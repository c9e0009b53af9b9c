"""How much of an output is decoded before it counts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.worker.decode import decode_whole
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from tests.footage import BIG_BUCK_BUNNY

_ENCODERS = ("libx264", "libx265", "libsvtav1")
_DAMAGE = 3000


def encoded(ffmpeg: Ffmpeg, folder: Path, encoder: str, suffix: str = "mp4") -> Path:
    path = folder / f"out.{suffix}"
    argv = [str(ffmpeg.path), "-v", "error", "-nostdin", "-i", str(BIG_BUCK_BUNNY), "-vf", "scale=320:180"]
    argv += ["-c:v", encoder, "-b:v", "400k", "-g", "25", "-c:a", "aac", "-ac", "2", "-y", str(path)]
    subprocess.run([*argv], check=True, stderr=subprocess.DEVNULL)
    return path


def damage(path: Path, share: float) -> None:
    """Turn bits of the media's bytes around, at that share of their way."""
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat")
    at = start + int((len(content) - start - _DAMAGE) * share)
    for place in range(at, at + _DAMAGE):
        content[place] ^= 0x5A
    path.write_bytes(content)


async def decoded(ffmpeg: Ffmpeg, path: Path) -> str | None:
    def run(argv: list[str], on_line: Callable[[str], bool]) -> EngineProcess:
        return EngineProcess(argv, on_line=on_line, timeout=60)

    failure = await decode_whole(FfmpegEngine(ffmpeg.path, {}), path, 2, run)
    return None if failure is None else failure.code


@pytest.mark.parametrize("encoder", _ENCODERS)
async def test_damage_in_the_middle_passes_the_ends_and_not_the_whole(
    ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path, encoder: str
) -> None:
    """And what is whole passes both."""
    path = encoded(ffmpeg, tmp_path, encoder)
    sound = (await probe.probe(path, count_frames=True)).ends_decode, await decoded(ffmpeg, path)
    assert (True, None) == sound
    damage(path, 0.5)
    broken = (await probe.probe(path, count_frames=True)).ends_decode, await decoded(ffmpeg, path)
    assert (True, "output_damaged") == broken


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_damage_at_the_ends_is_seen_without_decoding_the_whole(
    ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path, share: float
) -> None:
    """By the probe itself: it fails the job."""
    path = encoded(ffmpeg, tmp_path, "libx264")
    damage(path, share)
    assert not (await probe.probe(path, count_frames=True)).ends_decode
