"""What every engine must do, with real parts: from a plan to a verified file, and a name for every fault.

A new engine is one more entry in `ENGINES`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.capability import CODECS
from reelmill.domain.encoder import SOFTWARE as FFMPEG_ENCODERS
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters
from reelmill.domain.scenario import CATALOGUE, Scenario
from reelmill.worker.engines.engine import EncodePlan, Engine, Reading, follow, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.gstreamer import GstreamerEngine
from reelmill.worker.engines.gstreamer_encoders import ENCODERS as GSTREAMER_ENCODERS
from reelmill.worker.inventory import Ffmpeg, find_ffmpeg
from reelmill.worker.machine import find_program
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess, Exit
from reelmill.worker.verify import verify
from tests.footage import BIG_BUCK_BUNNY, BIKES, CARPHONE
from tests.waiting import wait_until

MakeMedia = Callable[..., Path]
ENGINES = {"ffmpeg": FFMPEG_ENCODERS, "gstreamer": GSTREAMER_ENCODERS}
EVERY_ENCODER = [
    (engine, codec, encoder)
    for engine, encoders in ENGINES.items()
    for codec, names in encoders.items()
    if codec in CODECS  # of films: pictures are made by one engine only
    for encoder in names
]
TWO_TRACKS = ("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "aac", "-c:a:1", "flac")
PRESETS = {"h264": "ultrafast", "h265": "ultrafast", "vp9": "8", "av1": "12"}
ENDLESS_SECONDS = 3600.0


def make_engine(name: str, encoders: dict[str, str]) -> Engine:
    """The engine as this machine has it, with these encoders."""
    if name == "ffmpeg":
        return FfmpegEngine(find_ffmpeg().path, encoders)
    path = find_program("gst-launch-1.0")
    assert path is not None, "the Debian packages of requirements/debian-test.txt are not installed"
    return GstreamerEngine(path, encoders)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine with the first encoder of each codec."""
    return make_engine(request.param, {codec: names[0] for codec, names in ENGINES[request.param].items()})


def plan_for(
    output: Path,
    source: MediaInfo | None = None,
    path: Path | None = None,
    *,
    codec: str = "h264",
    duration: float | None = None,
) -> EncodePlan:
    scenario = Scenario(f"240p30-{codec}", 426, 240, 30, codec, 300_000, 300_000, PRESETS[codec], 2)
    return plan_of(scenario, output, source, path, duration)


def plan_of(
    scenario: Scenario, output: Path, source: MediaInfo | None, path: Path | None, duration: float | None
) -> EncodePlan:
    parameters = Parameters(bitrate=scenario.bitrate_default, output=output.name, duration=duration)
    return make_plan(Grant(AttemptKey("j", 1), scenario, "any", parameters, 2, 30.0), source, path, output)


async def encode(engine: Engine, plan: EncodePlan) -> tuple[Failure | None, list[Reading]]:
    readings: list[Reading] = []
    end = await EngineProcess(engine.command(plan), on_line=follow(engine, plan, readings.append), timeout=60).run()
    return end.failure or (engine.explain(end.code, end.stderr, plan) if end.code else None), readings


async def check(engine: Engine, plan: EncodePlan, probe: Probe) -> MediaInfo:
    """Encode, and hold the output to what decides about jobs."""
    failure, _ = await encode(engine, plan)
    assert failure is None
    info = await probe.probe(plan.output_path, count_frames=True)
    assert verify(plan, info) is None
    return info


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("name", "codec", "encoder"), EVERY_ENCODER)
async def test_every_encoder_makes_what_was_asked(
    probe: Probe, tmp_path: Path, name: str, codec: str, encoder: str, suffix: str
) -> None:
    """P8: each codec in each container passes the same check that decides about jobs, to the frame."""
    plan = plan_for(tmp_path / f"out{suffix}", codec=codec, duration=1.0)
    info = await check(make_engine(name, {codec: encoder}), plan, probe)
    assert info.frames == 30


@pytest.mark.slow
@pytest.mark.parametrize("scenario", CATALOGUE.values(), ids=CATALOGUE)
async def test_every_scenario_of_the_catalogue(
    engine: Engine, probe: Probe, tmp_path: Path, scenario: Scenario
) -> None:
    """A moment of each, made up and of real footage."""
    await check(engine, plan_of(scenario, tmp_path / "made up.mp4", None, None, 0.5), probe)
    source = await probe.probe(BIG_BUCK_BUNNY)
    await check(engine, plan_of(scenario, tmp_path / "real.mp4", source, BIG_BUCK_BUNNY, 0.5), probe)


@pytest.mark.parametrize("film", [BIG_BUCK_BUNNY, BIKES, CARPHONE], ids=lambda film: film.stem)
async def test_real_footage_is_encoded_whole(engine: Engine, probe: Probe, tmp_path: Path, film: Path) -> None:
    """Films of cameras and studios keep length, aspect and sound."""
    source = await probe.probe(film)
    info = await check(engine, plan_for(tmp_path / "out.mp4", source, film), probe)
    assert info.audio_codecs == source.audio_codecs


@pytest.mark.parametrize(
    ("name", "options", "size", "rate"),
    [
        ("plain.mp4", ("-c:a", "aac"), "640x360", 25),
        ("opus.mkv", ("-c:a", "libopus"), "640x360", 25),
        ("pcm.mkv", ("-c:a", "pcm_s16le"), "640x360", 25),
        ("transport.ts", ("-c:a", "aac"), "640x360", 25),
        ("old.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame"), "640x360", 25),
        ("two tracks.mkv", TWO_TRACKS, "640x360", 25),
        ("pal.mp4", ("-vf", "setsar=64/45", "-c:a", "aac"), "720x576", 25),
        ("fast.mp4", ("-c:a", "aac"), "320x240", 60),
        ("slow.mp4", ("-c:a", "aac"), "320x240", 5),
        ('-a:b "q" \\ ! mux.\n🎬.mp4', ("-c:a", "aac"), "640x360", 25),
        ("long sound.mkv", ("-af", "apad=pad_dur=1", "-c:a", "aac"), "640x360", 25),
    ],
)  # fmt: skip
async def test_an_input_keeps_its_length_aspect_and_sound(
    engine: Engine,
    probe: Probe,
    make_media: MakeMedia,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    size: str,
    rate: int,
) -> None:
    """Whatever people have is encoded to what the plan says, and the check agrees."""
    path = make_media(name, *options, size=size, rate=rate)
    source = await probe.probe(path)
    info = await check(engine, plan_for(tmp_path / "-out: put.mp4", source, path), probe)
    shown, kept = source.display_size, info.display_size
    assert kept[0] / kept[1] == pytest.approx(shown[0] / shown[1], rel=0.02)
    assert info.audio_codecs == ("aac",) * len(source.audio_codecs)


@pytest.mark.parametrize("degrees", [90, 180, 270])
async def test_a_turned_film_is_upright(
    engine: Engine, probe: Probe, make_media: MakeMedia, ffmpeg: Ffmpeg, tmp_path: Path, degrees: int
) -> None:
    """The rotation is applied to the pixels, once, and in the right direction."""
    flat, turned = make_media("flat.mp4", sound=False), tmp_path / "turned.mp4"
    turn = ["-display_rotation", str(degrees), "-i", str(flat), "-c", "copy", str(turned)]
    subprocess.run([ffmpeg.path, "-v", "error", *turn], check=True)
    plan = plan_for(tmp_path / "out.mp4", await probe.probe(turned), turned)
    await check(engine, plan, probe)
    assert (plan.width, plan.height) == ((320, 240) if degrees == 180 else (180, 240))
    assert likeness(ffmpeg, turned, plan.output_path) > 0.8


def likeness(ffmpeg: Ffmpeg, one: Path, other: Path) -> float:
    """How alike the first pictures of two films are, 0 to 1 (SSIM), as a player shows them."""
    graph = "[0:v]scale=160:120,format=yuv420p,setsar=1[a];[1:v]scale=160:120,format=yuv420p,setsar=1[b];[a][b]ssim"
    argv = [ffmpeg.path, "-i", one, "-i", other, "-lavfi", graph, "-frames:v", "1", "-f", "null", "-"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    return float(said.rpartition("All:")[2].split()[0])


async def test_a_cut_input_ends_where_asked(
    engine: Engine, probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """Picture and sound are both cut, and the picture to the frame."""
    path = make_media("film.mp4", "-c:a", "aac", seconds=3)
    info = await check(engine, plan_for(tmp_path / "out.mp4", await probe.probe(path), path, duration=1.0), probe)
    assert info.frames == 30


async def test_an_exit_code_of_0_is_not_believed(
    engine: Engine, probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """Engines call a truncated Matroska file a success; the check says what it is."""
    whole = make_media("whole.mkv", seconds=5, sound=False)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    plan = plan_for(tmp_path / "out.mp4", await probe.probe(path), path)
    assert (await encode(engine, plan))[0] is None
    failure = verify(plan, await probe.probe(plan.output_path, count_frames=True))
    assert failure is not None
    assert (failure.reason, failure.code) == ("input_error", "input_truncated")


async def test_playlists_and_scripts_are_not_followed(
    engine: Engine, make_media: MakeMedia, probe: Probe, tmp_path: Path
) -> None:
    """Even one that got past the probe opens no other file in the engine."""
    film = make_media("film.mp4", "-c:a", "aac")
    source = await probe.probe(film)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{film}\n#EXT-X-ENDLIST\n"
    for name, text in (("list.m3u8", playlist), ("script.mp4", f"ffconcat version 1.0\nfile '{film}'\n")):
        (tmp_path / name).write_text(text)
        failure, _ = await encode(engine, plan_for(tmp_path / "out.mp4", source, tmp_path / name))
        assert failure is not None
        assert (failure.reason, failure.code) == ("input_error", "input_not_media")


async def test_faults_have_their_names(engine: Engine, make_media: MakeMedia, probe: Probe, tmp_path: Path) -> None:
    """What really happens when things go wrong maps to the codes that jobs show, the same for every engine."""
    film = make_media("film.mp4", "-c:a", "aac")
    source = await probe.probe(film)
    out = tmp_path / "out.mkv"
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    full = plan_for(tmp_path / "full.mkv", source, film)
    full.output_path.symlink_to("/dev/full")
    plans = {
        "input_missing": plan_for(out, source, tmp_path / "gone.mp4"),
        "output_folder_missing": plan_for(tmp_path / "no folder" / "out.mkv", source, film),
        "no_space": full,
        "input_truncated": plan_for(out, source, cut),
    }
    found = {code: (await encode(engine, plan))[0] for code, plan in plans.items()}
    assert {code: failure and failure.code for code, failure in found.items()} == {code: code for code in plans}


@pytest.mark.parametrize("name", ENGINES)
async def test_an_encoder_that_is_not_there_is_named(tmp_path: Path, name: str, ffmpeg: Ffmpeg) -> None:
    """A job that comes to a node which lost its encoder says so, and is not tried again there."""
    engine = make_engine(name, {codec: names[0] for codec, names in ENGINES[name].items()})
    plan = plan_for(tmp_path / "out.mkv", duration=1.0)
    encoder = ENGINES[name]["h264"][0]
    argv = ["gone_encoder" if word == encoder else word for word in engine.command(plan)]
    end = await EngineProcess(argv, on_line=follow(engine, plan, lambda _: None), timeout=30).run()
    failure = engine.explain(end.code, end.stderr, plan)
    assert (failure.reason, failure.code) == ("capability_mismatch", "encoder_unavailable")


class Endless:
    """An encode that goes on until it is ended."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        plan = plan_for(folder / "out.mkv", duration=ENDLESS_SECONDS)
        self.readings: list[Reading] = []
        self.process = EngineProcess(engine.command(plan), on_line=follow(engine, plan, self.readings.append))
        self.task = asyncio.create_task(self.process.run())

    async def moved(self) -> int:
        """Its process's id, once it has got further twice."""

        async def look() -> int:
            return sum(reading.moved for reading in self.readings)

        await wait_until(look, lambda moves: moves >= 2, seconds=30)
        assert self.process.pid is not None
        return self.process.pid


async def test_progress_rises_and_says_how_fast(engine: Engine, tmp_path: Path) -> None:
    """Percent, frames per second, speed and what is left, from the engine's own words."""
    endless = Endless(engine, tmp_path)
    await endless.moved()
    endless.process.kill()
    await endless.task
    percents = [reading.percent for reading in endless.readings]
    last = endless.readings[-1]
    assert percents == sorted(percents)
    assert 0 < last.percent < 100
    assert last.eta
    assert last.speed
    assert last.fps == pytest.approx(30 * last.speed, rel=0.3)


async def test_an_engine_is_ended_with_its_group(engine: Engine, tmp_path: Path) -> None:
    """A cancelled job leaves no process behind."""
    endless = Endless(engine, tmp_path)
    pid = await endless.moved()
    endless.process.kill()
    end = await endless.task
    assert (end.ending, end.code) == ("killed", -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


async def test_an_engine_stands_still_and_goes_on(engine: Engine, tmp_path: Path) -> None:
    """Paused, its whole group uses no CPU; resumed, it gets further."""
    endless = Endless(engine, tmp_path)
    pid = await endless.moved()
    endless.process.pause()

    async def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    assert await wait_until(state, lambda letter: letter == "T") == "T"
    endless.process.resume()
    so_far = len(endless.readings)

    async def look() -> bool:
        return any(reading.moved for reading in endless.readings[so_far:])

    await wait_until(look, bool, seconds=30)
    endless.process.kill()
    assert (await endless.task).ending == "killed"


async def test_a_killed_engine_is_told_from_one_that_failed(engine: Engine, tmp_path: Path) -> None:
    """The kernel's kill is the machine's fault: the job is tried again."""
    endless = Endless(engine, tmp_path)
    os.kill(await endless.moved(), signal.SIGKILL)
    end: Exit = await endless.task
    failure = engine.explain(end.code, end.stderr, plan_for(tmp_path / "out.mkv"))
    assert (failure.reason, failure.code) == ("platform_error", "engine_killed")


async def test_threads_are_the_units_of_the_job(engine: Engine, tmp_path: Path) -> None:
    """The encoder is told the job's units, whatever the machine has."""
    plan = msgspec.structs.replace(plan_for(tmp_path / "out.mkv"), threads=7)
    assert any("threads" in word for word in engine.command(plan))
    assert engine.command(plan) != engine.command(msgspec.structs.replace(plan, threads=1))
