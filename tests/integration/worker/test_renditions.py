"""Each thing that a scenario may ask for, made of real footage by the real ffmpeg and probed."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.container import CONTAINERS
from reelmill.domain.encoder import SOFTWARE
from reelmill.domain.job import Parameters
from reelmill.domain.picture import Picture
from reelmill.domain.rate_control import RateControl
from reelmill.domain.rendition import check_scenario
from reelmill.domain.scenario import CATALOGUE, Scenario
from reelmill.domain.sound import Sound
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, Reading, follow, make_plan, passes_of
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from reelmill.worker.verify import verify
from tests.footage import BIG_BUCK_BUNNY, BIKES, CARPHONE

PRESETS = {"h264": "ultrafast", "h265": "ultrafast", "vp9": "8", "av1": "12"}
MakeMedia = Callable[..., Path]


class Made(msgspec.Struct):
    """An output that was encoded and passed the check."""

    plan: EncodePlan
    info: MediaInfo
    readings: list[Reading]


def scenario(codec: str = "h264", **fields: Any) -> Scenario:
    base = Scenario(f"test-{codec}", 320, 180, 25, codec, 300_000, 300_000, PRESETS[codec], 2)
    found = msgspec.structs.replace(base, **fields)
    check_scenario(found)
    return found


class Workbench:
    """Encodes real footage as a worker does."""

    def __init__(self, ffmpeg: Ffmpeg, probe: Probe, folder: Path, encoder: int = 0) -> None:
        self.ffmpeg, self.probe, self.folder = ffmpeg, probe, folder
        self.engine = FfmpegEngine(ffmpeg.path, {codec: names[0] for codec, names in SOFTWARE.items()})

    async def make(
        self, asked: Scenario, source: Path = BIG_BUCK_BUNNY, *, suffix: str | None = None, seconds: float | None = 1.0
    ) -> Made:
        name = f"out{suffix or asked.usual_container.suffix}"
        parameters = Parameters(bitrate=asked.bitrate_default, output=name, duration=seconds)
        grant = Grant(AttemptKey("j", 1), asked, "ffmpeg", parameters, 2, 30.0)
        plan = make_plan(grant, await self.probe.probe(source), source, self.folder / name)
        readings: list[Reading] = []
        for part in passes_of(plan):
            argv = self.engine.command(part)
            end = await EngineProcess(argv, on_line=follow(self.engine, part, readings.append)).run()
            assert end.code == 0, end.stderr
        info = await self.probe.probe(plan.output_path, count_frames=True)
        failure = verify(plan, info)
        assert failure is None, failure
        return Made(plan, info, readings)

    def run(self, *options: str | Path) -> str:
        argv = [str(self.ffmpeg.path), "-nostdin", "-hide_banner", "-y", *map(str, options)]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stderr


@pytest.fixture
def bench(ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path) -> Workbench:
    return Workbench(ffmpeg, probe, tmp_path)


@pytest.mark.parametrize(
    ("container", "codec"), [(name, codec) for name, one in CONTAINERS.items() for codec in sorted(one.video)]
)
async def test_every_codec_in_every_container_that_takes_it(bench: Workbench, container: str, codec: str) -> None:
    """P8: sound and all, and the container is told from what is in the file."""
    made = await bench.make(scenario(codec, container=container))
    assert CONTAINERS[container].muxer == made.info.container
    assert (CONTAINERS[container].audio[0],) == made.info.audio_codecs


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
async def test_constant_quality_gives_what_the_picture_needs(bench: Workbench, codec: str) -> None:
    """A worse quality takes fewer bytes; a cap keeps a good one from taking more than it says."""
    sizes: list[int] = []
    for rate in (RateControl("crf", 20), RateControl("crf", 45), RateControl("capped-crf", 20)):
        asked = scenario(codec, rate=rate, audio=Sound("none"), bitrate_low=100_000, bitrate_high=100_000)
        made = await bench.make(asked, BIKES, seconds=3.0)
        sizes.append(made.plan.output_path.stat().st_size)
    good, bad, capped = sizes
    assert bad < good / 2
    assert capped < good
    assert capped * 8 / 3.0 < 100_000 * 1.7  # three seconds, and a buffer of two of them


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9"])
async def test_two_passes_meet_the_bitrate(bench: Workbench, codec: str) -> None:
    """The second pass knows the whole film; progress goes from 0 to 100 over both, and never back."""
    made = await bench.make(scenario(codec, rate=RateControl("two-pass"), audio=Sound("none")), BIKES, seconds=None)
    rate = made.plan.output_path.stat().st_size * 8 / made.info.duration
    assert rate == pytest.approx(300_000, rel=0.2)
    percents = [reading.percent for reading in made.readings]
    assert percents == sorted(percents)
    assert percents[-1] > 90


async def test_two_passes_work_in_a_folder_with_any_name(ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path) -> None:
    """x265 takes the name of its notes in a list that colons divide."""
    folder = tmp_path / "a:b=c 'd'"
    folder.mkdir()
    for codec in ("h264", "h265"):
        await Workbench(ffmpeg, probe, folder).make(scenario(codec, rate=RateControl("two-pass")))


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
async def test_ten_bits(bench: Workbench, codec: str) -> None:
    """The pixel format of the output is the one that was asked for."""
    made = await bench.make(scenario(codec, pixel_format="yuv420p10le"))
    assert "yuv420p10le" == made.info.pixel_format


@pytest.mark.parametrize(
    ("fit", "source", "size"),
    [
        ("inside", CARPHONE, None),
        ("pad", CARPHONE, (320, 180)),
        ("crop", CARPHONE, (320, 180)),
        ("stretch", CARPHONE, (320, 180)),
        ("pad", BIKES, (320, 180)),
        ("crop", BIKES, (320, 180)),
    ],
)
async def test_a_picture_fits_as_asked(bench: Workbench, fit: Any, source: Path, size: tuple[int, int] | None) -> None:
    """Only `inside` gives another size than the scenario's; all but `stretch` keep the aspect, with square pixels."""
    made = await bench.make(scenario(picture=Picture(fit=fit)), source)
    shown = (await bench.probe.probe(source)).display_size
    scaled = made.plan.scaled or (0, 0)
    if size is not None:
        assert size == (made.info.width, made.info.height)
    if fit != "stretch":
        assert scaled[0] / scaled[1] == pytest.approx(shown[0] / shown[1], rel=0.02)
    dark = darkness_of_edges(made.plan.output_path)
    assert (fit == "pad") == (dark > 0.9)


def darkness_of_edges(path: Path) -> float:
    """Which part of the two outermost columns, or of the two outermost rows if those are darker, is black."""
    rows = first_picture(path)
    columns = bytes(row[0] for row in rows) + bytes(row[-1] for row in rows)
    return max(sum(value < 20 for value in part) / len(part) for part in (columns, rows[0] + rows[-1]))


def first_picture(path: Path) -> list[bytes]:
    """Its rows, a byte of brightness for each pixel."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).reformat(format="gray")
    plane = picture.planes[0]
    data = bytes(plane)
    return [data[row * plane.line_size :][: picture.width] for row in range(picture.height)]


@pytest.mark.parametrize(
    ("source", "fps", "frame_rate", "expected"),
    [
        (BIG_BUCK_BUNNY, 50, "fixed", 50),
        (BIG_BUCK_BUNNY, 10, "fixed", 10),
        (BIG_BUCK_BUNNY, 50, "cap", 25),
        (BIG_BUCK_BUNNY, 10, "cap", 10),
        (CARPHONE, 60, "source", 30000 / 1001),
        (BIG_BUCK_BUNNY, 23.976, "fixed", 24000 / 1001),
    ],
)
async def test_frame_rates_are_converted_or_kept(
    bench: Workbench, source: Path, fps: float, frame_rate: Any, expected: float
) -> None:
    """As asked, at most that, or as the source has it."""
    made = await bench.make(scenario(fps=fps, picture=Picture(frame_rate=frame_rate)), source, seconds=2.0)
    assert made.info.fps == pytest.approx(expected, rel=0.0005)
    assert made.info.frames == pytest.approx(2 * expected, abs=1)


async def test_interlaced_pictures_become_whole_ones(bench: Workbench, tmp_path: Path) -> None:
    """Found out by looking; with twice the rate each field is a picture. `never` leaves the combs in."""
    source = tmp_path / "interlaced.mkv"
    weave = ("-vf", "setpts=PTS/2,fps=50,interlace=scan=tff:lowpass=off,setfield=tff")
    bench.run("-i", BIKES, *weave, "-c:v", "libx264", "-flags", "+ildct+ilme", "-x264opts", "tff=1", source)
    assert (await bench.probe.probe(source)).interlaced
    assert not (await bench.probe.probe(BIKES)).interlaced
    big: dict[str, Any] = {"width": 640, "height": 272, "bitrate_low": 4_000_000, "bitrate_high": 4_000_000}
    combs: dict[str, int] = {}
    for how in ("auto", "never"):
        made = await bench.make(scenario(**big, picture=Picture(deinterlace=how)), source, seconds=2.0)
        said = bench.run("-i", made.plan.output_path, "-vf", "idet", "-f", "null", "-")
        found = re.findall(r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+)", said)[-1]
        combs[how] = int(found[0]) + int(found[1])
    assert combs["auto"] < 5 < combs["never"]
    fields = await bench.make(scenario(**big, fps=50), source, seconds=2.0)
    assert 100 == fields.info.frames


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
async def test_hdr_becomes_sdr_or_stays_hdr(bench: Workbench, tmp_path: Path, transfer: str) -> None:
    """Tones are mapped to BT.709; who asks for HDR gets it as it was, in 10 bits. What is neither never passes."""
    source = tmp_path / "hdr.mkv"
    said = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    linear = "zscale=t=linear:npl=100,format=gbrpf32le"
    to_hdr = f"{said},{linear},zscale=p=bt2020:t={transfer}:m=bt2020nc:r=tv,format=yuv420p10le"
    bench.run("-i", BIKES, "-t", "1", "-vf", to_hdr, "-c:v", "libx265", "-preset", "ultrafast", source)
    assert (await bench.probe.probe(source)).is_hdr
    mapped = await bench.make(scenario(), source)
    kept = await bench.make(scenario("h265", pixel_format="yuv420p10le", picture=Picture(dynamic_range="keep")), source)
    assert ("sdr", "yuv420p") == (mapped.info.dynamic_range, mapped.info.pixel_format)
    assert kept.info.is_hdr
    assert verify(mapped.plan, msgspec.structs.replace(mapped.info, dynamic_range="pq")) is not None
    plain = await bench.make(scenario(), BIKES)
    assert brightness(mapped.plan.output_path) == pytest.approx(brightness(plain.plan.output_path), abs=40)


def brightness(path: Path) -> float:
    """Of the first picture, 0 to 255."""
    pixels = b"".join(first_picture(path))
    return sum(pixels) / len(pixels)


@pytest.mark.parametrize(
    ("sound", "suffix", "codec", "channels"),
    [
        (Sound(), ".mp4", "aac", 6),
        (Sound("aac", channels=2, bitrate=96_000), ".mp4", "aac", 2),
        (Sound("aac", channels=1), ".ts", "aac", 1),
        (Sound("opus"), ".mkv", "opus", 6),
        (Sound("opus", channels=2), ".mp4", "opus", 2),
        (Sound("copy"), ".mkv", "aac", 6),
        (Sound("none"), ".mp4", None, None),
    ],
)
async def test_sound_is_what_was_asked_for(
    bench: Workbench, sound: Sound, suffix: str, codec: str | None, channels: int | None
) -> None:
    """Codec and channels of the source's 5.1 track; copied when nothing is changed."""
    made = await bench.make(scenario(audio=sound), suffix=suffix)
    assert ((codec,) if codec else ()) == made.info.audio_codecs
    assert ((channels,) if channels else ()) == made.info.audio_channels
    assert ("copy" in made.plan.audio) == (sound in (Sound(), Sound("copy")))


@pytest.mark.parametrize("loudness", [-23.0, -16.0])
async def test_loudness_is_normalised(bench: Workbench, loudness: float) -> None:
    """EBU R128: within one and a half LU of what was asked, as ffmpeg's own meter reads the output."""
    made = await bench.make(scenario(audio=Sound("aac", channels=2, loudness=loudness)), seconds=None)
    said = bench.run("-i", made.plan.output_path, "-af", "ebur128", "-f", "null", "-")
    measured = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", said)[-1])
    assert measured == pytest.approx(loudness, abs=1.5)


async def test_sound_that_cannot_be_copied_is_an_error_with_advice(bench: Workbench, tmp_path: Path) -> None:
    """P9: FLAC goes into Matroska as it is, and not into a transport stream."""
    source = tmp_path / "flac.mkv"
    bench.run("-i", BIG_BUCK_BUNNY, "-c:v", "copy", "-c:a", "flac", source)
    assert ("flac",) == (await bench.make(scenario(audio=Sound("copy")), source, suffix=".mkv")).info.audio_codecs
    with pytest.raises(AttemptFailed, match="flac") as caught:
        await bench.make(scenario(audio=Sound("copy")), source, suffix=".ts")
    assert "audio_not_copyable" == caught.value.failure.code


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "subrip"), (".mp4", "mov_text"), (".webm", "webvtt")])
async def test_subtitles_are_kept(bench: Workbench, tmp_path: Path, suffix: str, codec: str) -> None:
    """Text stays text, in the container's own way; without being asked for they are left out."""
    words, source = tmp_path / "words.srt", tmp_path / "words.mkv"
    words.write_text("1\n00:00:00,100 --> 00:00:00,900\nA rabbit.\n\n")
    bench.run("-i", BIKES, "-i", words, "-map", "0:v", "-map", "1:s", "-c", "copy", source)
    kept = await bench.make(scenario("vp9", subtitles="keep"), source, suffix=suffix)
    assert (codec,) == kept.info.subtitle_codecs
    assert () == (await bench.make(scenario("vp9"), source, suffix=suffix)).info.subtitle_codecs
    lost = msgspec.structs.replace(kept.info, subtitle_codecs=())
    assert verify(kept.plan, lost) is not None


async def test_key_frames_come_as_often_as_asked(bench: Workbench) -> None:
    """No two are further apart than that."""
    made = await bench.make(scenario(keyframe_seconds=0.4), seconds=2.0)
    with av.open(str(made.plan.output_path)) as container:
        video = container.streams.video[0]
        times = [packet.pts for packet in container.demux(video) if packet.is_keyframe and packet.pts is not None]
        assert video.time_base is not None
        gaps = [float((later - one) * video.time_base) for one, later in itertools.pairwise(times)]
    assert 0 < max(gaps) < 0.41


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
async def test_every_scenario_of_the_catalogue(bench: Workbench, name: str) -> None:
    """P8: real footage through each, a moment long."""
    made = await bench.make(CATALOGUE[name], seconds=0.4)
    assert CATALOGUE[name].fps == pytest.approx(made.info.fps, rel=0.02)
