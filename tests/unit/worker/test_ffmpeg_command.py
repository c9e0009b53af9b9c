"""The ffmpeg engine's argv and its reading of progress lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelmill.domain.encoder import SOFTWARE
from reelmill.domain.scenario import CATALOGUE, find_scenario
from reelmill.domain.sound import Sound
from reelmill.worker.engines.engine import EncodePlan, ProgressState, Reading, follow
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]
ENGINE = FfmpegEngine(Path("/opt/ffmpeg"), {codec: names[0] for codec, names in SOFTWARE.items()})


def value_of(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_a_strangers_file_is_opened_behind_whitelists(source: MediaInfo, plan_for: PlanFor) -> None:
    """Only local plain containers are opened, within a pixel limit, and the limits stand before the input."""
    argv = ENGINE.command(plan_for(source=source))
    before_input = argv[: argv.index("-i")]
    assert value_of(before_input, "-protocol_whitelist") == "file"
    assert value_of(before_input, "-max_pixels") == "33177600"
    formats = value_of(before_input, "-format_whitelist").split(",")
    forbidden = {"hls", "dash", "concat", "lavfi", "image2", "applehttp", "imf", "sdp", "rtsp", "tty", "ffmetadata"}
    assert not forbidden & set(formats)


@pytest.mark.parametrize("name", ["-y.mp4", "a:b.mp4", "a b.mp4", "a\nb.mp4", "http:x.mp4", "🎬.mp4", "'$(x)'.mp4"])
def test_paths_are_absolute_file_urls(source: MediaInfo, plan_for: PlanFor, name: str) -> None:
    """A name never turns into an option, a protocol or a command."""
    argv = ENGINE.command(plan_for(source=source, input_path=Path("/media") / name, output=name))
    assert f"file:/media/{name}" == value_of(argv, "-i")
    assert f"file:/media/.reelmill/attempts/job.1/{name}" == argv[-1]


@pytest.mark.parametrize("scenario", CATALOGUE)
def test_the_encoder_gets_exactly_the_granted_threads(plan_for: PlanFor, scenario: str) -> None:
    """Three units are three threads, for every encoder and for those with a pool of their own."""
    argv = ENGINE.command(plan_for(scenario, units=3))
    assert value_of(argv, "-threads:v") == "3"
    match CATALOGUE[scenario].codec:
        case "h265":
            assert "pools=3:frame-threads=3" in value_of(argv, "-x265-params")
        case "av1":
            assert value_of(argv, "-svtav1-params") == "lp=3"
        case "vp9":
            assert value_of(argv, "-row-mt") == "1"
        case _:
            pass


@pytest.mark.parametrize("scenario", CATALOGUE)
def test_bitrate_and_key_frames_are_set(plan_for: PlanFor, scenario: str) -> None:
    """The asked bitrate, and a key frame every two seconds; SVT-AV1 gets no peak, which it refuses."""
    argv = ENGINE.command(plan_for(scenario))
    assert value_of(argv, "-b:v") == "4000000"
    assert str(2 * CATALOGUE[scenario].fps) == value_of(argv, "-g")
    assert ("-maxrate" in argv) == (CATALOGUE[scenario].codec != "av1")


def test_the_fewer_pictures_are_scaled(source: MediaInfo, plan_for: PlanFor) -> None:
    """Frames are dropped before scaling and doubled after it: that is cheaper."""
    fast = msgspec.structs.replace(source, fps=60.0)
    filters = [value_of(ENGINE.command(plan_for(source=film)), "-vf") for film in (source, fast)]
    assert filters == ["scale=1920:1080,setsar=1,fps=30", "fps=30,scale=1920:1080,setsar=1"]


def test_mp4_starts_at_once_and_plays_on_apples_players(plan_for: PlanFor) -> None:
    """MP4 gets its index in front and the tag hvc1; Matroska knows neither."""
    mp4, mkv = (ENGINE.command(plan_for("720p30-h265", output=name)) for name in ("o.mp4", "o.mkv"))
    assert (value_of(mp4, "-movflags"), value_of(mp4, "-tag:v")) == ("+faststart", "hvc1")
    assert not {"-movflags", "-tag:v"} & set(mkv)


def test_synthetic_jobs_have_a_length_and_no_sound(plan_for: PlanFor) -> None:
    """The test source never ends by itself, so it is always cut."""
    argv = ENGINE.command(plan_for("480p30-h264", duration=2.5))
    assert value_of(argv, "-i") == "testsrc2=size=854x480:rate=30"
    assert value_of(argv, "-t") == "2.500000"
    assert "0:a" not in argv


def test_audio_streams_are_handled_one_by_one(source: MediaInfo, plan_for: PlanFor) -> None:
    """Each stream is copied or encoded by its own index."""
    film = msgspec.structs.replace(source, audio_codecs=("aac", "opus"))
    argv = ENGINE.command(plan_for(source=film))
    assert tuple(value_of(argv, option) for option in ("-c:a:0", "-c:a:1", "-b:a:1")) == ("copy", "aac", "160k")


def test_the_sound_of_a_ladder_has_the_bitrate_of_its_channels(source: MediaInfo, plan_for: PlanFor) -> None:
    """As that of any output."""
    films = [msgspec.structs.replace(source, audio_channels=(channels,)) for channels in (2, 6)]
    ladder = msgspec.structs.replace(find_scenario("ladder-hls"), audio=Sound())
    plans = [plan_for(ladder, film, output="films") for film in films]
    assert ["160k", "384000"] == [value_of(ENGINE.command(plan), "-b:a:0") for plan in plans]


def feed(lines: str, duration: float = 10.0) -> list[Reading]:
    state = ProgressState(duration)
    return [reading for line in lines.splitlines() if (reading := ENGINE.parse_progress(line, state)) is not None]


def test_a_block_of_progress_becomes_one_reading() -> None:
    """Percent of the media's length, frames and media seconds per second, and the seconds left."""
    block = "frame=75\nfps=50.00\nbitrate= 577.3kbits/s\nout_time_us=2500000\nspeed= 2x\nprogress=continue"
    assert [Reading(percent=25.0, fps=50.0, speed=2.0, eta=3.75, moved=True)] == feed(block)


def test_the_first_second_has_a_rate_too() -> None:
    """ffmpeg says fps=0.00 in its first second; the rate follows from the frames and the speed."""
    (reading,) = feed("frame=60\nfps=0.00\nout_time_us=2000000\nspeed=4x\nprogress=end")
    assert reading.fps == 120.0


def test_unknown_values_and_strange_lines_do_no_harm() -> None:
    """N/A, text, infinities and empty lines change nothing."""
    (reading,) = feed("frame=N/A\nspeed=N/A\nout_time_us=N/A\nfps=inf\n\nhello\n=\nout_time_us=nan\nprogress=continue")
    assert Reading(percent=0.0, fps=None, speed=None, eta=None, moved=False) == reading


def test_percent_never_falls_and_never_passes_100() -> None:
    """A muxer's clock may jump; what users see may not."""
    readings = feed("\n".join(f"out_time_us={time}\nprogress=continue" for time in (5_000_000, 4_000_000, 99_000_000)))
    assert [reading.percent for reading in readings] == [50.0, 50.0, 100.0]


def test_an_engine_that_only_repeats_itself_has_not_moved(plan_for: PlanFor) -> None:
    """ffmpeg prints progress while it hangs, so only more frames or more media count as life."""
    readings: list[Reading] = []
    on_line = follow(ENGINE, plan_for(), readings.append)
    lines = ["frame=5", "progress=continue", "frame=5", "progress=continue", "frame=6", "progress=continue"]
    assert [on_line(line) for line in lines] == [False, True, False, False, False, True]
    assert len(readings) == 3
