"""What exactly is encoded: size, length, cut and audio of an output, decided before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelmill.domain.picture import MOST_FPS, Picture
from reelmill.domain.scenario import find_scenario
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, Reading, fit, without_standstill
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.verify import verify

PlanFor = Callable[..., EncodePlan]


@pytest.mark.parametrize(
    ("display", "expected"),
    [
        ((1920, 1080), (1920, 1080)),
        ((640, 360), (1920, 1080)),
        ((1024, 768), (1440, 1080)),
        ((2048, 858), (1920, 804)),
        ((1080, 1920), (608, 1080)),
        ((10, 4000), (2, 1080)),
    ],
)
def test_a_picture_fills_its_box_and_keeps_its_aspect(display: tuple[int, int], expected: tuple[int, int]) -> None:
    """The output is the largest even size in the scenario's box with the source's aspect."""
    assert expected == fit(display, (1920, 1080))


@pytest.mark.parametrize("display", [(4000, 1), (1, 4000), (2000, 2)])
def test_a_picture_of_which_nothing_would_be_left_is_refused(display: tuple[int, int]) -> None:
    """P9: a side of less than two pixels is a failure of the input's, not a distorted film."""
    with pytest.raises(AttemptFailed) as caught:
        fit(display, (1280, 720))
    assert "input_too_narrow" == caught.value.failure.code


def test_an_input_that_claims_more_than_a_day_is_refused_unless_cut(source: MediaInfo, plan_for: PlanFor) -> None:
    """P9: a header's lie does not keep an engine busy for days."""
    endless = msgspec.structs.replace(source, duration=86_401.0)
    with pytest.raises(AttemptFailed) as caught:
        plan_for(source=endless)
    assert "input_too_long" == caught.value.failure.code
    assert 4.0 == plan_for(source=endless, duration=4.0).duration


def test_an_input_that_goes_on_beyond_its_length_is_cut_off(source: MediaInfo, plan_for: PlanFor) -> None:
    """P9: the cut lies far enough behind the length that it claims for the output to be refused, never shortened."""
    plan = plan_for(source=source)
    argv = FfmpegEngine(Path("/ffmpeg"), {"h264": "libx264"}).command(plan)
    limit = float(argv[argv.index("-t") + 1])
    overlong = MediaInfo(
        container="mp4",
        duration=limit,
        codec="h264",
        width=plan.width,
        height=plan.height,
        fps=30.0,
        frames=int(limit * 30),
        audio_codecs=("aac",),
        pixel_format="yuv420p",
    )
    failure = verify(plan, overlong)
    assert failure is not None
    assert (True, "input_invalid") == (limit < 20, failure.code)


def test_aspect_counts_as_a_player_shows_it(source: MediaInfo, plan_for: PlanFor) -> None:
    """Pixel shape and rotation are part of the aspect: PAL widescreen is 16:9, a phone's film stands upright."""
    wide = msgspec.structs.replace(source, width=720, height=576, sar=(64, 45))
    upright = msgspec.structs.replace(source, width=1920, height=1080, rotation=90)
    plans = [plan_for("720p30-h264", film) for film in (wide, upright)]
    assert [(plan.width, plan.height) for plan in plans] == [(1280, 720), (404, 720)]


@pytest.mark.parametrize(("asked", "limit", "duration"), [(None, None, 10.0), (4.0, 4.0, 4.0), (60.0, None, 10.0)])
def test_a_real_input_keeps_its_length_unless_cut(
    source: MediaInfo, plan_for: PlanFor, asked: float | None, limit: float | None, duration: float
) -> None:
    """A duration cuts the input; one beyond its end changes nothing."""
    plan = plan_for(source=source, duration=asked)
    assert (limit, duration, duration) == (plan.limit, plan.duration, plan.video_duration)


def test_a_picture_shorter_than_its_sound_is_expected_as_it_is(source: MediaInfo, plan_for: PlanFor) -> None:
    """The file lasts as long as its longest stream, and its picture as long as the source's picture."""
    film = msgspec.structs.replace(source, duration=12.0)
    plan = plan_for(source=film, duration=11.0)
    assert (plan.duration, plan.video_duration) == (11.0, 10.0)


def test_a_source_sets_the_frame_rate_up_to_the_most_that_is_made(source: MediaInfo, plan_for: PlanFor) -> None:
    """A film may claim any rate, and every frame of it costs."""
    scenario = find_scenario("1080p30-h264")
    as_source = msgspec.structs.replace(scenario, picture=Picture(frame_rate="source"))
    films = [msgspec.structs.replace(source, fps=fps) for fps in (50.0, 1000.0)]
    assert [50.0, MOST_FPS] == [plan_for(as_source, film).fps for film in films]


def test_audio_is_copied_only_when_it_is_aac(source: MediaInfo, plan_for: PlanFor) -> None:
    """Every audio stream is kept: AAC as it is, anything else encoded; without audio there is none."""
    mixed = msgspec.structs.replace(source, audio_codecs=("aac", "ac3"))
    silent = msgspec.structs.replace(source, audio_codecs=())
    plans = [plan_for(source=film) for film in (mixed, silent, None)]
    assert [plan.audio for plan in plans] == [("copy", "encode"), (), ()]


def test_a_synthetic_job_fills_the_whole_box(plan_for: PlanFor) -> None:
    """Without an input the scenario's own size is encoded, for ten seconds or as long as asked."""
    plans = [plan_for("480p60-h265", duration=seconds) for seconds in (None, 2.5)]
    assert [(plan.width, plan.height, plan.duration) for plan in plans] == [(854, 480, 10.0), (854, 480, 2.5)]


def test_the_container_follows_the_name_in_any_case(plan_for: PlanFor) -> None:
    """``.MKV`` is Matroska, ``.mp4`` is MP4."""
    assert [plan_for(output=name).container for name in ("a.MKV", "a.mp4")] == ["matroska", "mp4"]


def test_the_pace_of_an_engine_that_stood_still_is_that_of_its_running_time() -> None:
    """Two thirds of the time it stood still: it is three times as fast as it says, and needs a third of the time."""
    said = Reading(percent=50.0, fps=10.0, speed=0.4, eta=90.0, moved=True)
    silent = Reading(percent=0.0, fps=None, speed=None, eta=None, moved=False)
    assert Reading(percent=50.0, fps=30.0, speed=1.2, eta=30.0, moved=True) == without_standstill(said, 3.0)
    assert (said, silent) == (without_standstill(said, 1.0), without_standstill(silent, 3.0))
