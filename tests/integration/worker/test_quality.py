"""Quality, measured by the real ffmpeg on real footage: the same figures as anybody gets with ffmpeg alone."""

from __future__ import annotations

import contextlib
import logging
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.job import Parameters
from reelmill.domain.quality import Metric, Quality
from reelmill.domain.scenario import Scenario
from reelmill.worker.confinement import Confinement
from reelmill.worker.engines.engine import EncodePlan, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine, file_input, source_input
from reelmill.worker.engines.ffmpeg_filters import filter_chain
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess, MakeProcess
from reelmill.worker.quality import IDENTICAL_DB, Comparison, compare, comparison_of, measure
from tests.footage import BIG_BUCK_BUNNY, BIKES, CARPHONE, CARPHONE_DISTORTED

_PLAIN: dict[Metric, tuple[str, str]] = {
    "vmaf": ("libvmaf", r"VMAF score: (\S+)"),
    "xpsnr": ("xpsnr", r"XPSNR  y: (\S+)"),
    "ssim": ("ssim", r"All:(\S+)"),
}
_SMALL = (320, 180)


def processes_in(folder: Path) -> MakeProcess:
    def make(argv: list[str], on_line: Callable[[str], bool]) -> EngineProcess:
        return EngineProcess(argv, on_line=on_line, cwd=folder, timeout=60)

    return make


def copy_of(source: Path, folder: Path) -> Path:
    """The measurement writes beside what it measures."""
    copy = folder / source.name
    copy.write_bytes(source.read_bytes())
    return copy


async def plan_of(
    probe: Probe, source: Path | None, folder: Path, *, rate: int = 25, duration: float | None = None
) -> EncodePlan:
    scenario = Scenario("wanted", *_SMALL, rate, "h264", 300_000, 300_000, "ultrafast", 2)
    parameters = Parameters(bitrate=300_000, output="out.mkv", duration=duration)
    info = await probe.probe(source) if source is not None else None
    grant = Grant(AttemptKey("j", 1), scenario, "ffmpeg", parameters, 2, 30.0)
    return make_plan(grant, info, source, folder / "out.mkv")


def encode_without_loss(ffmpeg: Ffmpeg, plan: EncodePlan) -> None:
    """What the engine gives its encoder, kept bit by bit."""
    chain = filter_chain(plan)
    argv = [str(ffmpeg.path), "-v", "error", "-nostdin", *source_input(plan), "-map", "0:V:0"]
    argv += ["-vf", chain] if chain else []
    argv += ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-t", str(plan.limit or plan.duration), f"file:{plan.output_path}"]
    subprocess.run(argv, check=True)


async def measured(ffmpeg: Ffmpeg, plan: EncodePlan, metric: Metric, every: int = 1) -> Quality:
    engine = FfmpegEngine(ffmpeg.path, {})
    run = processes_in(plan.output_path.parent)
    return await measure(plan, metric, every, encoded_by=engine, measured_by=engine, run=run)


@pytest.mark.parametrize("metric", list(_PLAIN))
async def test_a_known_pair_scores_as_with_ffmpeg_alone(ffmpeg: Ffmpeg, tmp_path: Path, metric: Metric) -> None:
    """To 0.01: the carphone, well and badly encoded."""
    graph, pattern = _PLAIN[metric]
    pair = ("-i", str(CARPHONE_DISTORTED), "-i", str(CARPHONE), "-lavfi", f"[0:v][1:v]{graph}", "-f", "null", "-")
    argv = [str(ffmpeg.path), "-nostdin", "-hide_banner", *pair]
    [alone] = re.findall(pattern, subprocess.run(argv, capture_output=True, text=True, check=True).stderr)

    output = copy_of(CARPHONE_DISTORTED, tmp_path)
    comparison = Comparison(
        metric=metric, every=1, output=output, source=file_input(CARPHONE, 2), filters=["format=yuv420p"], threads=2
    )
    found = await compare(FfmpegEngine(ffmpeg.path, {}), comparison, processes_in(tmp_path))

    assert found.reason is None
    assert pytest.approx(float(alone), abs=0.01) == found.mean
    assert 120 == found.frames
    assert found.worst is not None
    assert found.p5 is not None
    assert found.mean is not None
    assert found.worst <= found.p5 < found.mean
    assert [output] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "rate", "duration", "frames"),
    [
        (BIG_BUCK_BUNNY, 25, 2.0, 50),
        (CARPHONE, 60, None, 240),
        (BIKES, 10, 3.05, 31),
        (None, 30, 1.5, 45),
    ],
    ids=["scaled and cut", "not square, frames doubled", "frames dropped", "synthetic"],
)
async def test_the_source_is_made_alike_as_for_the_encoder(
    ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path, source: Path | None, rate: int, duration: float | None, frames: int
) -> None:
    """An encoder that loses nothing loses nothing: every picture is paired with the very one that it was made of."""
    plan = await plan_of(probe, source, tmp_path, rate=rate, duration=duration)
    encode_without_loss(ffmpeg, plan)
    found = await measured(ffmpeg, plan, "xpsnr")
    assert (None, frames, IDENTICAL_DB, IDENTICAL_DB) == (found.reason, found.frames, found.worst, found.mean)


@pytest.mark.parametrize("metric", ["vmaf", "ssim"])
async def test_a_sample_compares_every_nth_frame_only(
    ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path, metric: Metric
) -> None:
    """Its frames are those of the whole, with the scores they have there."""
    plan = await plan_of(probe, BIKES, tmp_path, duration=2.0)
    encode_without_loss(ffmpeg, plan)
    whole, sample = await measured(ffmpeg, plan, metric), await measured(ffmpeg, plan, metric, 10)
    assert ((50, 1), (5, 10)) == ((whole.frames, whole.every), (sample.frames, sample.every))
    assert whole.mean is not None
    assert pytest.approx(whole.mean, rel=0.02) == sample.mean


async def test_what_cannot_be_measured_is_no_number(ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path) -> None:
    """Source gone, output damaged, no ffmpeg, test pictures of another engine: no figures, and a reason."""
    source = copy_of(BIKES, tmp_path)
    plan = await plan_of(probe, source, tmp_path, duration=1.0)
    plan.output_path.write_bytes(b"not a film")
    damaged = await measured(ffmpeg, plan, "vmaf")
    plan.output_path.unlink()
    encode_without_loss(ffmpeg, plan)
    source.unlink()
    gone = await measured(ffmpeg, plan, "vmaf")
    engine, run = FfmpegEngine(ffmpeg.path, {}), processes_in(tmp_path)
    missing = await measure(plan, "ssim", 1, encoded_by=engine, measured_by=None, run=run)
    other = FfmpegEngine(Path("/another"), {})
    synthetic = await plan_of(probe, None, tmp_path, duration=1.0)
    drawn = await measure(synthetic, "ssim", 1, encoded_by=other, measured_by=engine, run=run)
    for found in (damaged, gone, missing, drawn):
        assert (None, None, None, None) == (found.mean, found.p5, found.worst, found.frames)
        assert found.reason


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_ten_minutes_take_no_more_memory_than_one(ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path) -> None:
    """Real footage, repeated: what is held is pictures under way, and a few numbers for each frame."""
    peaks: list[int] = []
    for minutes in (1, 10):
        source = tmp_path / f"{minutes}.mp4"
        repeat = ("-stream_loop", str(minutes * 6 - 1), "-i", str(BIKES), "-c", "copy", str(source))
        subprocess.run([str(ffmpeg.path), "-v", "error", "-nostdin", *repeat], check=True)
        plan = await plan_of(probe, source, tmp_path)
        encode = ("-c:v", "libx264", "-preset", "ultrafast", "-y", f"file:{plan.output_path}")
        argv = [str(ffmpeg.path), "-v", "error", "-nostdin", *source_input(plan), "-vf", filter_chain(plan), *encode]
        subprocess.run(argv, check=True)
        peak = PeakMemory(tmp_path)
        found = await compare(FfmpegEngine(ffmpeg.path, {}), comparison_of(plan, "vmaf", 1), peak.make)
        assert (None, minutes * 1500) == (found.reason, found.frames)
        peaks.append(peak.bytes)
    logging.getLogger(__name__).info("peak RSS: %d and %d MB", *(peak / 1e6 for peak in peaks))
    assert peaks[1] < 1.25 * peaks[0]
    assert peaks[1] < 500e6


class PeakMemory:
    """Makes a process that may take 1 GB, and looks at what it takes with every sign of life it gives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bytes = 0

    def make(self, argv: list[str], on_line: Callable[[str], bool]) -> EngineProcess:
        def look(line: str) -> bool:
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                self.bytes = max(self.bytes, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
            return on_line(line)

        process = EngineProcess(argv, on_line=look, cwd=self._folder, confinement=Confinement(1024**3))
        return process
