"""A ladder from one decode, with real footage and the real ffmpeg; and what is wrong with one is found."""

from __future__ import annotations

import asyncio
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.encoder import SOFTWARE
from reelmill.domain.job import Parameters
from reelmill.domain.ladder import Ladder, LadderFormat, Rung
from reelmill.domain.picture import Picture
from reelmill.domain.rate_control import RateControl
from reelmill.domain.rendition import check_scenario
from reelmill.domain.scenario import LADDERS, Scenario
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.ladder_output import LadderOutput, finish_ladder
from reelmill.worker.playlist import read_media_playlist
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from tests.footage import BIG_BUCK_BUNNY, BIKES

RUNGS = (Rung(640, 360, 800_000), Rung(426, 240, 400_000), Rung(320, 180, 200_000))
PRESETS = {"h264": "veryfast", "h265": "ultrafast", "av1": "12"}  # x264's ultrafast has no scene cuts to begin with
MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def scenario(codec: str = "h264", form: LadderFormat = "hls", **fields: Any) -> Scenario:
    ladder = Ladder(form, RUNGS, 2.0)
    base = msgspec.structs.replace(LADDERS["ladder-hls"], codec=codec, preset=PRESETS[codec], width=640, height=360)
    found = msgspec.structs.replace(
        base, ladder=ladder, bitrate_low=ladder.bitrate, bitrate_high=ladder.bitrate, **fields
    )
    check_scenario(found)
    return found


class Mill:
    """Makes ladders as a worker does."""

    def __init__(self, ffmpeg: Ffmpeg, probe: Probe, folder: Path) -> None:
        self.probe, self.folder = probe, folder / "50% of a:b"  # no name of a folder is a pattern
        self.engine = FfmpegEngine(ffmpeg.path, {codec: names[0] for codec, names in SOFTWARE.items()})

    async def plan(
        self, asked: Scenario, source: Path | None = BIG_BUCK_BUNNY, duration: float | None = None
    ) -> EncodePlan:
        duration = duration if source else duration or 4.0
        parameters = Parameters(bitrate=asked.bitrate_default, output="out", duration=duration)
        grant = Grant(AttemptKey("j", 1), asked, "ffmpeg", parameters, 2, 30.0)
        return make_plan(grant, await self.probe.probe(source) if source else None, source, self.folder)

    async def encode(self, plan: EncodePlan) -> None:
        self.folder.mkdir()
        end = await EngineProcess(self.engine.command(plan), cwd=self.folder).run()
        assert end.code == 0, end.stderr

    async def make(self, asked: Scenario, source: Path | None = BIG_BUCK_BUNNY) -> LadderOutput:
        plan = await self.plan(asked, source)
        await self.encode(plan)
        return await finish_ladder(plan, self.probe)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def mill(ffmpeg: Ffmpeg, probe: Probe, tmp_path: Path) -> Mill:
    return Mill(ffmpeg, probe, tmp_path)


def key_frame_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base = video.time_base
        assert base is not None
        keys = [packet.pts for packet in container.demux(video) if packet.is_keyframe and packet.pts is not None]
        return [round(float(time * base), 3) for time in keys]


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
async def test_a_ladder_for_hls(mill: Mill, codec: str) -> None:
    """P8: every rung with its size, its frames and its bitrate; key frames at the same times; playlists that agree."""
    made = await mill.make(scenario(codec))
    assert [(640, 360, 132), (426, 240, 132), (320, 180, 132)] == [
        (one.width, one.height, one.frames) for one in made.renditions
    ]
    assert codec == made.top.codec
    assert (("aac",), (2,)) == (made.top.audio_codecs, made.top.audio_channels)
    for one, rung in zip(made.renditions, RUNGS, strict=True):
        assert one.bitrate == pytest.approx(rung.bitrate, rel=0.35)
    files = [f"{name}.{end}" for name in ("180p", "240p", "360p") for end in ("m3u8", "m4s")]
    assert [*files, "master.m3u8", "sound.m3u8", "sound.m4s"] == mill.names()
    times = [key_frame_times(mill.folder / f"{rung.name}.m4s") for rung in RUNGS]
    assert times[0] == times[1] == times[2]
    assert [2.0, 2.0] == [round(later - one, 3) for one, later in zip(times[0], times[0][1:], strict=False)]
    master = (mill.folder / "master.m3u8").read_text()
    assert ["360p.m3u8", "240p.m3u8", "180p.m3u8"] == [line for line in master.splitlines() if line[0] != "#"]
    assert 3 == master.count('mp4a.40.2",RESOLUTION=')


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("h264", "yuv420p"), ("h265", "yuv420p"), ("h265", "yuv420p10le"), ("av1", "yuv420p"), ("av1", "yuv420p10le")],
)
async def test_codecs_are_called_what_ffmpeg_calls_them(mill: Mill, codec: str, pixel_format: str) -> None:
    """Whose own master playlist, which tells none of outputs under a second, is another implementation."""
    plan = await mill.plan(scenario(codec, pixel_format=pixel_format), BIKES)
    mill.folder.mkdir()
    argv = mill.engine.command(plan)
    end = await EngineProcess([*argv[:-1], "-master_pl_name", "theirs.m3u8", argv[-1]], cwd=mill.folder).run()
    assert end.code == 0, end.stderr
    await finish_ladder(plan, mill.probe)
    theirs, ours = ((mill.folder / name).read_text() for name in ("theirs.m3u8", "master.m3u8"))
    told = re.findall(r'CODECS="([^"]+)"', theirs)
    assert 3 == len(told)
    assert told == re.findall(r'CODECS="([^"]+)"', ours)


async def test_a_ladder_of_a_moment(mill: Mill) -> None:
    """A fifth of a second, of which all is one segment."""
    plan = await mill.plan(scenario(), duration=0.2)
    await mill.encode(plan)
    made = await finish_ladder(plan, mill.probe)
    assert [5, 5, 5] == [one.frames for one in made.renditions]


@pytest.mark.parametrize("source", [BIKES, None], ids=["without sound", "synthetic"])
async def test_a_ladder_for_dash(mill: Mill, source: Path | None) -> None:
    """One manifest; its byte ranges follow one another from the first byte of each file to its last segment's."""
    made = await mill.make(scenario(form="dash"), source)
    assert () == made.top.audio_codecs
    assert ["180p.m4s", "240p.m4s", "360p.m4s", "manifest.mpd"] == mill.names()
    root = ET.parse(mill.folder / "manifest.mpd").getroot()
    found = root.findall(f".//{MPD}Representation")
    assert ["360p", "240p", "180p"] == [one.get("id") for one in found]
    for one in found:
        start = one.find(f".//{MPD}Initialization")
        assert start is not None
        spans = [start.get("range"), *(url.get("mediaRange") for url in one.iter(f"{MPD}SegmentURL"))]
        edges = [tuple(map(int, str(span).split("-"))) for span in spans]
        assert [0, *(end + 1 for _, end in edges[:-1])] == [begin for begin, _ in edges]
        assert edges[-1][1] + 1 <= (mill.folder / f"{one.get('id')}.m4s").stat().st_size
        assert len(edges) - 1 == len(list(one.iter(f"{MPD}S")))


async def test_the_segments_of_a_ladder_play_by_themselves(mill: Mill, tmp_path: Path) -> None:
    """Each begins with a key picture: what a player fetches, the header and any one segment, can be decoded."""
    await mill.make(scenario())
    for rung in RUNGS:
        playlist = read_media_playlist((mill.folder / f"{rung.name}.m3u8").read_text())
        content = (mill.folder / playlist.file).read_bytes()
        for number, segment in enumerate(playlist.segments):
            alone = tmp_path / f"{rung.name}-{number}.mp4"
            alone.write_bytes(content[: playlist.header] + content[segment.offset :][: segment.size])
            with av.open(str(alone)) as container:
                frames = sum(1 for _ in container.decode(video=0))
            assert round(segment.seconds * 25) == frames


@pytest.mark.parametrize(
    "fields",
    [
        {"rate": RateControl("capped-crf", 30)},
        {"picture": Picture(fit="pad", frame_rate="cap")},
        {"picture": Picture(fit="crop"), "fps": 29.97},
        {"pixel_format": "yuv420p10le"},
    ],
    ids=["capped", "pad", "29.97", "10 bit"],
)
async def test_a_ladder_with_options(mill: Mill, fields: dict[str, Any]) -> None:
    """Each of them for every rung, checked as for any other output."""
    made = await mill.make(scenario(**fields), BIKES)
    if "picture" in fields:
        assert [(rung.width, rung.height) for rung in RUNGS] == [(one.width, one.height) for one in made.renditions]
    assert 3 == len(made.renditions)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Ffmpeg], tuple[EncodePlan, Path]]:
    """A ladder as its encode leaves it, made once."""
    folder = tmp_path_factory.mktemp("ladder")
    done: dict[str, EncodePlan] = {}

    def get(ffmpeg: Ffmpeg) -> tuple[EncodePlan, Path]:
        if not done:
            done["plan"] = asyncio.run(encode_once(ffmpeg, folder))
        return done["plan"], done["plan"].output_path

    return get


async def encode_once(ffmpeg: Ffmpeg, folder: Path) -> EncodePlan:
    probe = Probe()
    await probe.start()
    mill = Mill(ffmpeg, probe, folder)
    plan = await mill.plan(scenario())
    await mill.encode(plan)
    await probe.stop()
    return plan


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def become_240p(path: Path) -> None:
    path.write_bytes(path.with_name("240p.m4s").read_bytes())


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def leave_a_gap(path: Path) -> None:
    text = path.read_text()
    first = re.search(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", text)
    assert first is not None
    path.write_text(text.replace(first[0], f"#EXT-X-BYTERANGE:{first[1]}@{int(first[2]) + 1}"))


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a file that ends early": ("240p.m4s", cut, "240p"),
    "a file of another rung": (
        "180p.m4s",
        lambda path: path.write_bytes(path.with_name("240p.m4s").read_bytes()),
        "180p",
    ),
    "no file": ("180p.m4s", lambda path: path.unlink(), "180p"),
    "no sound": ("sound.m3u8", lambda path: path.unlink(), "sound.m3u8"),
    "a playlist without an end": ("360p.m3u8", lambda path: replace(path, "#EXT-X-ENDLIST", ""), "360p"),
    "a playlist with a gap": ("360p.m3u8", leave_a_gap, "follow"),
    "other segments": ("240p.m3u8", lambda path: replace(path, "1.280000", "1.320000"), "segments of 240p"),
    "longer than promised": ("360p.m3u8", lambda path: replace(path, "DURATION:2", "DURATION:1"), "promises"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_ladder_that_is_not_whole_is_refused(
    encoded: Callable[[Ffmpeg], tuple[EncodePlan, Path]], ffmpeg: Ffmpeg, tmp_path: Path, what: str
) -> None:
    """P8: before anybody sees it, with what is wrong."""
    plan, folder = encoded(ffmpeg)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    name, damage, word = DAMAGE[what]
    damage(copy / name)
    with pytest.raises(AttemptFailed, match=word) as caught:
        asyncio.run(judge(msgspec.structs.replace(plan, output_path=copy)))
    assert caught.value.failure.code in ("output_invalid", "input_truncated", "input_missing")


async def judge(plan: EncodePlan) -> None:
    probe = Probe()
    await probe.start()
    try:
        await finish_ladder(plan, probe)
    finally:
        await probe.stop()
