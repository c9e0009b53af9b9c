"""From a plan to a verified file with the real ffmpeg: every encoder, and inputs as people have them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.failure import Failure
from reelmill.domain.job import Parameters
from reelmill.domain.scenario import Scenario
from reelmill.errors import StartupError
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.engines.engine import EncodePlan, Reading, follow, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_encoders import ENCODERS
from reelmill.worker.inventory import FFMPEG_VARIABLE, Ffmpeg, discover, find_ffmpeg
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from reelmill.worker.verify import verify

MakeMedia = Callable[..., Path]
TWO_TRACKS = ("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "aac", "-c:a:1", "flac")
PRESETS = {"h264": "ultrafast", "h265": "ultrafast", "vp9": "8", "av1": "12"}


def plan_for(
    output: Path,
    source: MediaInfo | None = None,
    path: Path | None = None,
    *,
    codec: str = "h264",
    duration: float | None = None,
) -> EncodePlan:
    scenario = Scenario(f"240p30-{codec}", 426, 240, 30, codec, 300_000, 300_000, PRESETS[codec], 2)
    parameters = Parameters(bitrate=300_000, output=output.name, duration=duration)
    return make_plan(Grant(AttemptKey("j", 1), scenario, "ffmpeg", parameters, 2, 30.0), source, path, output)


async def encode(engine: FfmpegEngine, plan: EncodePlan) -> tuple[Failure | None, list[Reading]]:
    readings: list[Reading] = []
    end = await EngineProcess(engine.command(plan), on_line=follow(engine, plan, readings.append)).run()
    return (engine.explain(end.code, end.stderr, plan) if end.code else end.failure), readings


@pytest.fixture
def engine(ffmpeg: Ffmpeg) -> FfmpegEngine:
    """The engine with the first encoder of each codec."""
    return FfmpegEngine(ffmpeg.path, {codec: names[0] for codec, names in ENCODERS.items()})


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("encoder", [(codec, name) for codec, names in ENCODERS.items() for name in names])
async def test_every_encoder_makes_what_was_asked(
    ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path, encoder: tuple[str, str], suffix: str
) -> None:
    """P8: each codec in each container passes the same check that decides about jobs."""
    plan = plan_for(tmp_path / f"out{suffix}", codec=encoder[0], duration=1.0)
    failure, readings = await encode(FfmpegEngine(ffmpeg.path, dict([encoder])), plan)
    assert failure is None
    assert readings
    assert readings[-1].percent > 80
    assert verify(plan, await probe.probe(plan.output_path, count_frames=True)) is None


@pytest.mark.parametrize(
    ("name", "options", "size", "rate"),
    [
        ("plain.mp4", ("-c:a", "aac"), "640x360", 25),
        ("opus.mkv", ("-c:a", "libopus"), "640x360", 25),
        ("transport.ts", ("-c:a", "aac"), "640x360", 25),
        ("old.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame"), "640x360", 25),
        ("two tracks.mkv", TWO_TRACKS, "640x360", 25),
        ("pal.mp4", ("-vf", "setsar=64/45", "-c:a", "aac"), "720x576", 25),
        ("fast.mp4", ("-c:a", "aac"), "320x240", 60),
        ("slow.mp4", ("-c:a", "aac"), "320x240", 5),
        ("-a:b\n🎬.mp4", ("-c:a", "aac"), "640x360", 25),
        ("long sound.mkv", ("-af", "apad=pad_dur=1", "-c:a", "aac"), "640x360", 25),
    ],
)  # fmt: skip
async def test_an_input_keeps_its_length_aspect_and_sound(
    engine: FfmpegEngine,
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
    plan = plan_for(tmp_path / "-out: put.mp4", source, path)
    failure, _ = await encode(engine, plan)
    assert failure is None
    info = await probe.probe(plan.output_path, count_frames=True)
    assert verify(plan, info) is None
    shown, kept = source.display_size, info.display_size
    assert kept[0] / kept[1] == pytest.approx(shown[0] / shown[1], rel=0.02)
    assert info.audio_codecs == ("aac",) * len(source.audio_codecs)


async def test_an_upright_film_stays_upright(
    engine: FfmpegEngine, probe: Probe, make_media: MakeMedia, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    """The rotation is applied to the pixels, once."""
    flat, turned = make_media("flat.mp4", "-c:a", "aac"), tmp_path / "turned.mp4"
    turn = ["-display_rotation", "90", "-i", str(flat), "-c", "copy", str(turned)]
    subprocess.run([ffmpeg.path, "-v", "error", *turn], check=True)
    plan = plan_for(tmp_path / "out.mp4", await probe.probe(turned), turned)
    assert (await encode(engine, plan))[0] is None
    assert (plan.width, plan.height) == (180, 240)
    assert verify(plan, await probe.probe(plan.output_path, count_frames=True)) is None


async def test_a_cut_input_ends_where_asked(
    engine: FfmpegEngine, probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """Picture and sound are both cut."""
    path = make_media("film.mp4", "-c:a", "aac", seconds=3)
    plan = plan_for(tmp_path / "out.mp4", await probe.probe(path), path, duration=1.0)
    assert (await encode(engine, plan))[0] is None
    info = await probe.probe(plan.output_path, count_frames=True)
    assert verify(plan, info) is None
    assert info.frames == 30


async def test_an_exit_code_of_0_is_not_believed(
    engine: FfmpegEngine, probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """ffmpeg calls a truncated Matroska file a success; the check says what it is."""
    whole = make_media("whole.mkv", seconds=5, sound=False)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    plan = plan_for(tmp_path / "out.mp4", await probe.probe(path), path)
    assert (await encode(engine, plan))[0] is None
    failure = verify(plan, await probe.probe(plan.output_path, count_frames=True))
    assert failure is not None
    assert (failure.reason, failure.code) == ("input_error", "input_truncated")


async def test_playlists_and_scripts_are_not_followed(
    engine: FfmpegEngine, make_media: MakeMedia, probe: Probe, tmp_path: Path
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


async def test_faults_have_their_names(
    engine: FfmpegEngine, make_media: MakeMedia, probe: Probe, tmp_path: Path
) -> None:
    """What ffmpeg really does when things go wrong maps to the codes that jobs show."""
    film = make_media("film.mp4", "-c:a", "aac")
    source = await probe.probe(film)
    out = tmp_path / "out.mkv"
    full = plan_for(tmp_path / "full.mkv", source, film)
    full.output_path.symlink_to("/dev/full")
    codes = [
        (await encode(engine, plan_for(out, source, tmp_path / "gone.mp4")))[0],
        (await encode(engine, plan_for(tmp_path / "no folder" / "out.mkv", source, film)))[0],
        (await encode(engine, full))[0],
    ]
    assert [failure.code for failure in codes if failure] == ["input_missing", "output_folder_missing", "no_space"]


async def test_discovery_tries_every_encoder() -> None:
    """Capabilities are what works here, with a reason for what does not; slots override the cores."""
    inventory = await discover(slots=7)
    assert inventory.capabilities.units == 7
    assert inventory.capabilities.engines == {"ffmpeg": list(inventory.encoders)}
    assert {trial.encoder for trial in inventory.trials} == {name for names in ENCODERS.values() for name in names}
    assert inventory.ffmpeg.path.is_absolute()
    assert "h264" in inventory.encoders


def test_a_chosen_ffmpeg_is_used_or_refused(ffmpeg: Ffmpeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REELMILL_FFMPEG wins over all others; a wrong one stops the start with a sentence that names it."""
    monkeypatch.setenv(FFMPEG_VARIABLE, str(ffmpeg.path))
    assert find_ffmpeg() == ffmpeg
    monkeypatch.setenv(FFMPEG_VARIABLE, "/bin/true")
    with pytest.raises(StartupError, match="REELMILL_FFMPEG=/bin/true"):
        find_ffmpeg()


@pytest.mark.parametrize(("version", "preferred"), [("99.1", True), ("4.4.2-0ubuntu", False)])
def test_the_systems_ffmpeg_is_used_only_when_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, preferred: bool
) -> None:
    """Of the bundled and the system's ffmpeg the newer runs."""
    system = tmp_path / "ffmpeg"
    system.write_text(f"#!/bin/sh\necho ffmpeg version {version} Copyright\n")
    system.chmod(0o755)
    monkeypatch.delenv(FFMPEG_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (find_ffmpeg().path == system) == preferred


async def test_an_encoder_that_does_not_work_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that lists an encoder and cannot use it does not get its jobs; `doctor` can say why."""
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\ncase $* in *-version*) echo ffmpeg version 9.9;; *) echo kaput >&2; exit 1;; esac\n")
    broken.chmod(0o755)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(broken))
    inventory = await discover()
    assert inventory.capabilities.engines == {}
    assert all("kaput" in (trial.error or "") for trial in inventory.trials)


async def test_a_machine_with_little_memory_uses_fewer_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 MB are enough for one unit of eight, also when some were to be kept for live jobs; `--slots` decides."""
    monkeypatch.setattr("reelmill.worker.inventory.usable_cores", lambda: 8)
    monkeypatch.setattr("reelmill.worker.inventory.usable_memory", lambda: 512 * 1024**2)
    inventory = await discover()
    worker = Worker(MemoryBus(), inventory, SharedFolder(tmp_path), name="small", reserve_live=2)
    capabilities = worker.node.capabilities
    assert (1, 0) == (capabilities.units, capabilities.reserve_live)
    assert 8 == (await discover(slots=8)).capabilities.units
