"""Thumbnails of real footage and of test pictures, made by ffmpeg and judged."""

from __future__ import annotations

import re
from pathlib import Path

import av
import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.job import Parameters
from reelmill.domain.scenario import THUMBNAILS
from reelmill.domain.thumbnails import Thumbnails
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, make_plan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_thumbnails import POSTER, sheet_name
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe import Probe
from reelmill.worker.process import EngineProcess
from reelmill.worker.thumbnails_output import STORYBOARD, finish_thumbnails
from tests.footage import BIG_BUCK_BUNNY

SHEETS = Thumbnails(interval=1, tile_width=64, columns=2, rows=2)
_CUE = re.compile(r"([\d:.]+) --> ([\d:.]+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n")


class Studio:
    """Makes the pictures of one source."""

    def __init__(self, folder: Path, ffmpeg: Ffmpeg, probe: Probe) -> None:
        self.folder = folder / "pictures"
        self._engine, self._probe = FfmpegEngine(ffmpeg.path, {"mjpeg": "mjpeg"}), probe

    async def plan(self, source: Path | None, seconds: float | None = None) -> EncodePlan:
        info = None if source is None else await self._probe.probe(source)
        scenario = msgspec.structs.replace(THUMBNAILS, thumbnails=SHEETS)
        grant = Grant(AttemptKey("job", 1), scenario, "ffmpeg", Parameters(bitrate=1, duration=seconds), 2, 30.0)
        return make_plan(grant, info, source, self.folder)

    async def encode(self, plan: EncodePlan) -> None:
        self.folder.mkdir()
        end = await EngineProcess(self._engine.command(plan), cwd=self.folder).run()
        assert 0 == end.code, end.stderr

    async def make(self, source: Path | None, seconds: float | None = None) -> MediaInfo:
        plan = await self.plan(source, seconds)
        await self.encode(plan)
        return await finish_thumbnails(plan, self._probe, plan.duration)

    def luma(self, name: str, box: tuple[int, int, int, int]) -> float:
        """The mean brightness of a part of a picture: left, top, width, height."""
        with av.open(str(self.folder / name), format="jpeg_pipe") as container:
            plane = next(container.decode(video=0)).reformat(format="gray").planes[0]
        left, top, width, height = box
        rows = [bytes(plane)[plane.line_size * row :][left : left + width] for row in range(top, top + height)]
        return sum(map(sum, rows)) / (width * height)


@pytest.fixture
def studio(tmp_path: Path, ffmpeg: Ffmpeg, probe: Probe) -> Studio:
    return Studio(tmp_path, ffmpeg, probe)


def seconds_of(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


async def test_a_film_has_a_poster_and_a_tile_for_each_second(studio: Studio) -> None:
    """Cues from the start to the end without a gap, each with a part of a sheet that has a picture."""
    made = await studio.make(BIG_BUCK_BUNNY)
    assert (1280, 720, 6, "mjpeg") == (made.width, made.height, made.frames, made.codec)
    assert {POSTER, sheet_name(1), sheet_name(2), STORYBOARD} == {path.name for path in studio.folder.iterdir()}
    text = (studio.folder / STORYBOARD).read_text()
    assert text.startswith("WEBVTT\n\n")
    cues = _CUE.findall(text)
    times = [(seconds_of(begin), seconds_of(end)) for begin, end, *_ in cues]
    assert 0.0 == times[0][0]
    assert [end for _, end in times[:-1]] == [begin for begin, _ in times[1:]]
    assert abs(times[-1][1] - made.duration) < 0.001
    boxes = [(name, *(int(number) for number in box)) for _, _, name, *box in cues]
    assert [(sheet_name(1), 0, 0, 64, 36), (sheet_name(1), 64, 0, 64, 36), (sheet_name(1), 0, 36, 64, 36)] == boxes[:3]
    assert (sheet_name(2), 64, 0, 64, 36) == boxes[5]
    assert min(studio.luma(name, (left, top, width, height)) for name, left, top, width, height in boxes) > 20
    assert studio.luma(POSTER, (0, 0, 1280, 720)) > 20


async def test_each_tile_is_what_is_seen_at_its_moment(studio: Studio, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    """A film that is black, but white for a fifth of its third second, without a key frame there."""
    film = tmp_path / "film.mp4"
    flash = "color=black:size=320x180:rate=25,drawbox=color=white:t=fill:enable='between(t,2,2.2)'"
    options = ("-t", "5", "-c:v", "libx264", "-g", "1000", "-sc_threshold", "0", "-pix_fmt", "yuv420p", str(film))
    argv = [str(ffmpeg.path), "-v", "error", "-f", "lavfi", "-i", flash, *options]
    assert 0 == (await EngineProcess(argv).run()).code
    assert 5 == (await studio.make(film)).frames
    tiles = [(sheet_name(1), 0, 0), (sheet_name(1), 64, 0), (sheet_name(1), 0, 36), (sheet_name(1), 64, 36)]
    bright = [studio.luma(name, (left, top, 64, 36)) > 128 for name, left, top in (*tiles, (sheet_name(2), 0, 0))]
    assert [False, False, True, False, False] == bright


async def test_a_test_picture_has_an_end(studio: Studio) -> None:
    made = await studio.make(None, 3)
    assert (1280, 720, 3, 3.0) == (made.width, made.height, made.frames, made.duration)


@pytest.mark.parametrize("seconds", [0.04, 0.12, 0.4])
async def test_a_moment_has_a_poster(studio: Studio, ffmpeg: Ffmpeg, tmp_path: Path, seconds: float) -> None:
    """However short it is."""
    film = tmp_path / "film.mp4"
    options = ("-t", str(seconds), "-c:v", "libx264", "-pix_fmt", "yuv420p", str(film))
    argv = [str(ffmpeg.path), "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", *options]
    assert 0 == (await EngineProcess(argv).run()).code
    assert 1 == (await studio.make(film)).frames


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("a sheet is gone", "storyboard-2.jpg"),
        ("a sheet is cut", "storyboard-1.jpg"),
        ("the poster is a sheet", "the size of poster.jpg"),
        ("one more", "there are 4 pictures"),
        ("the film ends early", "part of the input is missing"),
    ],
)
async def test_what_is_not_whole_is_refused(studio: Studio, probe: Probe, fault: str, word: str) -> None:
    plan = await studio.plan(BIG_BUCK_BUNNY)
    await studio.encode(plan)
    reached = plan.duration
    first, poster = studio.folder / sheet_name(1), studio.folder / POSTER
    match fault:
        case "a sheet is gone":
            (studio.folder / sheet_name(2)).unlink()
        case "a sheet is cut":
            first.write_bytes(first.read_bytes()[:400])
        case "the poster is a sheet":
            poster.write_bytes(first.read_bytes())
        case "one more":
            (studio.folder / sheet_name(3)).write_bytes(first.read_bytes())
        case _:
            reached = 3.0
    with pytest.raises(AttemptFailed) as caught:
        await finish_thumbnails(plan, probe, reached)
    assert word in caught.value.failure.message
