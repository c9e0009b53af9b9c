"""What every engine meets, and the plan it is given: everything about one encode, decided before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from reelmill.domain.attempt import Grant
from reelmill.domain.chunk import Chunk
from reelmill.domain.container import Container, container_of_name
from reelmill.domain.failure import Failure
from reelmill.domain.picture import MOST_FPS, MOST_PIXELS, Fit
from reelmill.domain.request import MAX_SECONDS, SYNTHETIC_SECONDS
from reelmill.domain.scenario import Scenario
from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines import tracks
from reelmill.worker.media_info import MediaInfo

AudioHandling = tracks.AudioHandling
Deinterlace = Literal["none", "flagged", "all"]

_LEAST_SIDE = 2
_VP9_TILE_WIDTH = 256  # the codec's least: more columns than this allows are ignored
_ROUNDING = 1e-6
_OVERRUN, _OVERRUN_SECONDS = 1.05, 5.0  # more than the check of the output forgives, so a cut one never passes


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces to join: ffmpeg's list of them, how many ``frames`` they have, and when the first one is shown (s)."""

    listing: Path
    frames: int
    begins: float


class RungPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of a ladder; the fields mean what those of an `EncodePlan` do."""

    name: str
    width: int
    height: int
    scaled: tuple[int, int] | None
    bitrate: int
    threads: int


class EncodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One encode. Sizes in pixels, times in media seconds, ``bitrate`` in bit/s; both paths are absolute.

    ``source`` and ``input_path`` are None for a synthetic job. ``duration`` is what the output must last and
    ``video_duration`` its picture (None: unknown); ``limit`` is where to cut (None: at the source's end).
    ``audio`` says for each audio stream of the source, in order, what becomes of it; what is encoded becomes
    ``audio_codec``. ``subtitles`` is ffmpeg's encoder, or ``copy``, for each subtitle stream that is kept.

    ``scaled`` is the size of the picture before bars are added to it or its sides are cut off; None: as it is.
    ``deinterlace``, ``tone_map`` tell what is done to the source's pictures. ``pass_number`` is 1 or 2 of a two-pass
    encode, else 0. ``piece`` is the only part of the source that is encoded; with ``joining`` no picture is.
    ``rungs`` are those of a ladder, of which `width`, `height` and `scaled` tell the largest. ``stream`` is the URL
    of a live source, of which nothing else is known: there is no ``source``, and ``audio`` is made if there is any.
    """

    scenario: Scenario
    source: MediaInfo | None
    input_path: Path | None
    output_path: Path
    width: int
    height: int
    duration: float
    video_duration: float | None
    limit: float | None
    bitrate: int
    threads: int
    container: str
    audio: tuple[AudioHandling, ...] = ()
    audio_codec: str = "aac"
    subtitles: tuple[str, ...] = ()
    fps: float
    scaled: tuple[int, int] | None = None
    deinterlace: Deinterlace = "none"
    tone_map: bool = False
    pass_number: int = 0
    piece: Chunk | None = None
    joining: Joining | None = None
    rungs: tuple[RungPlan, ...] = ()
    stream: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the output is a folder, in which the engine runs."""
        return self.scenario.makes_folder

    @property
    def is_ladder(self) -> bool:
        """Whether several renditions are made."""
        return self.scenario.ladder is not None

    @property
    def vp9_tile_columns(self) -> int:
        """As VP9 writes it, the logarithm of their number: no more than there are threads, none too narrow."""
        return int(math.log2(max(1, min(self.threads, self.width // _VP9_TILE_WIDTH))))

    @property
    def gop_frames(self) -> int:
        """Frames from one key frame to the next."""
        return max(1, round(self.scenario.keyframe_seconds * self.fps))


class Reading(msgspec.Struct, frozen=True):
    """How far an encode is: ``percent`` 0 to 100, ``fps`` encoded per second, ``speed`` in media s per s, ``eta`` in s.

    ``moved`` tells that work was done since the reading before; an engine that only repeats itself may hang.
    """

    percent: float
    fps: float | None
    speed: float | None
    eta: float | None
    moved: bool


def without_standstill(reading: Reading, stretch: float) -> Reading:
    """The pace while it ran of an engine whose run took ``stretch`` times longer because it stood still.

    Engines divide what they have done by the time since their start.
    """
    fps, speed = (None if pace is None else round(pace * stretch, 2) for pace in (reading.fps, reading.speed))
    eta = None if reading.eta is None else reading.eta / stretch
    return msgspec.structs.replace(reading, fps=fps, speed=speed, eta=eta)


class ProgressState(msgspec.Struct):
    """What an engine's progress lines said up to now; one per run, changed by ``Engine.parse_progress``."""

    duration: float
    frames: int = 0
    media_seconds: float = 0.0
    fps: float | None = None
    speed: float | None = None
    percent: float = 0.0
    fresh: bool = False
    ended: bool = False
    """Whether the engine has said that it is done; what it held back until then came out at once."""
    rate: float = 0.0
    """Frames per second of the output."""
    started_at: float = msgspec.field(default_factory=time.monotonic)


class Engine(Protocol):
    """A program that encodes. It holds nothing that changes: one object serves all jobs of a worker."""

    @property
    def name(self) -> str:
        """As in ``Capabilities.engines``."""
        ...

    def ways(self, plan: EncodePlan) -> Sequence[Engine]:
        """This engine with each encoder that may make the plan's picture, the first choice first."""
        ...

    def encoder_of(self, plan: EncodePlan) -> str:
        """What encodes the picture, as the engine calls it."""
        ...

    def command(self, plan: EncodePlan) -> list[str]:
        """The argv list that runs the plan; its first item is an absolute path. AttemptFailed when it cannot."""
        ...

    def parse_progress(self, line: str, state: ProgressState) -> Reading | None:
        """Take in one line of the engine's stdout; a reading when the line completes one.

        GaveUp when it says that the engine has failed; needed only of engines that may not end by themselves then.
        """
        ...

    def explain(self, exit_code: int, stderr: str, plan: EncodePlan) -> Failure:
        """Why the run failed. ``exit_code`` is negative for a signal; 0 means that only the output was wrong."""
        ...


def make_plan(grant: Grant, source: MediaInfo | None, input_path: Path | None, output_path: Path) -> EncodePlan:
    """What exactly is encoded for a grant; pure. ``source`` and ``input_path`` come together, or not at all.

    A real input keeps its length (or is cut to ``parameters.duration``), its aspect and its audio. AttemptFailed
    when it cannot: input_too_narrow, input_too_long.
    """
    scenario, parameters = grant.scenario, grant.parameters
    box = (scenario.width, scenario.height)
    container = container_of_name(parameters.output or str(output_path)) or scenario.usual_container
    if scenario.makes_folder:
        container = scenario.usual_container  # of its segments, if it has any
    basic = EncodePlan(
        scenario=scenario,
        source=source,
        input_path=input_path,
        output_path=output_path,
        width=box[0],
        height=box[1],
        duration=SYNTHETIC_SECONDS,
        video_duration=None,
        limit=None,
        bitrate=parameters.bitrate,
        threads=max(1, grant.units),
        container=container.muxer,
        fps=scenario.fps,
        audio_codec=scenario.audio.codec_in(container),
    )
    asked = parameters.duration
    if source is None:
        length = SYNTHETIC_SECONDS if asked is None else asked
        return _for_folder(msgspec.structs.replace(basic, duration=length, video_duration=length, limit=length))
    limit = asked if asked is not None and asked < source.duration else None
    duration = source.duration if limit is None else limit
    if duration > MAX_SECONDS:
        raise AttemptFailed(input_failure.TOO_LONG)
    whole = _of_source(
        msgspec.structs.replace(
            basic,
            duration=duration,
            video_duration=None if source.video_duration is None else min(source.video_duration, duration),
            limit=limit,
        ),
        source,
        container,
    )
    return _for_folder(whole)


def _for_folder(plan: EncodePlan) -> EncodePlan:
    """The plan of a folder's files. Thumbnails are of the picture, however long its sound goes on."""
    if plan.scenario.thumbnails is not None:
        return msgspec.structs.replace(plan, duration=plan.video_duration or plan.duration)
    return _with_rungs(plan)


def _with_rungs(plan: EncodePlan) -> EncodePlan:
    """A ladder's plan with its rungs, which share the threads by their pixels; one track of sound, always encoded."""
    ladder = plan.scenario.ladder
    if ladder is None:
        return plan
    pixels = sum(rung.width * rung.height for rung in ladder.rungs)
    rungs: list[RungPlan] = []
    for rung in ladder.rungs:
        box = (rung.width, rung.height)
        size, scaled = box, None
        if plan.source is not None:
            scaled = scaled_size(plan.source.display_size, box, plan.scenario.picture.fit)
            size = scaled if plan.scenario.picture.fit == "inside" else box
        threads = max(1, round(plan.threads * rung.width * rung.height / pixels))
        rungs.append(
            RungPlan(
                name=rung.name,
                width=size[0],
                height=size[1],
                scaled=scaled,
                bitrate=rung.bitrate,
                threads=threads,
            )
        )
    return msgspec.structs.replace(plan, rungs=tuple(rungs), audio=("encode",) if plan.audio else ())


def rung_plan(plan: EncodePlan, rung: RungPlan) -> EncodePlan:
    """The plan of the pictures of one rung, as if they were an output of their own."""
    return msgspec.structs.replace(
        plan,
        duration=plan.duration if plan.video_duration is None else plan.video_duration,
        width=rung.width,
        height=rung.height,
        scaled=rung.scaled,
        bitrate=rung.bitrate,
        threads=rung.threads,
        audio=(),
        rungs=(),
    )


def _of_source(plan: EncodePlan, source: MediaInfo, container: Container) -> EncodePlan:
    """The plan with what the source's pictures and tracks decide."""
    scenario = plan.scenario
    box, picture = (scenario.width, scenario.height), scenario.picture
    scaled = scaled_size(source.display_size, box, picture.fit)
    size = scaled if picture.fit == "inside" else box
    fps = scenario.fps
    if picture.frame_rate == "source" or (picture.frame_rate == "cap" and source.fps < fps):
        fps = min(source.fps, MOST_FPS)
    deinterlace: Deinterlace = "all" if picture.deinterlace == "always" else "none"
    if picture.deinterlace == "auto" and source.interlaced:
        deinterlace = "flagged"
    return msgspec.structs.replace(
        plan,
        width=size[0],
        height=size[1],
        scaled=scaled,
        fps=fps,
        deinterlace=deinterlace,
        tone_map=source.is_hdr and picture.dynamic_range == "sdr",
        audio=tracks.plan_audio(source, scenario.audio, container),
        subtitles=tracks.plan_subtitles(source, container) if scenario.subtitles == "keep" else (),
    )


def cut_of(plan: EncodePlan) -> float:
    """After how many seconds the encode is cut off, whatever the source goes on to give."""
    # An input may lie about its length: what goes on far beyond it is no longer worth encoding.
    return plan.limit or (plan.duration if plan.source is None else plan.duration * _OVERRUN + _OVERRUN_SECONDS)


def passes_of(plan: EncodePlan) -> tuple[EncodePlan, ...]:
    """What is run one after the other: the plan itself, or its two passes."""
    if plan.scenario.rate.mode != "two-pass":
        return (plan,)
    return tuple(msgspec.structs.replace(plan, pass_number=number) for number in (1, 2))


def scaled_size(display: tuple[float, float], box: tuple[int, int], how: Fit) -> tuple[int, int]:
    """To which even size a picture is scaled for ``box``, before bars are added or sides are cut off."""
    match how:
        case "stretch":
            return box
        case "crop":
            scale = max(box[0] / display[0], box[1] / display[1])
            width, height = (2 * math.ceil(side * scale / 2 - _ROUNDING) for side in display)
            if width * height > MOST_PIXELS:
                raise AttemptFailed(input_failure.TOO_NARROW)
            return max(width, box[0]), max(height, box[1])
        case _:
            return fit(display, box)


def fit(display: tuple[float, float], box: tuple[int, int]) -> tuple[int, int]:
    """The largest even size inside ``box`` with the aspect of ``display``; AttemptFailed when a side vanishes."""
    scale = min(box[0] / display[0], box[1] / display[1])
    if min(display) * scale < _LEAST_SIDE:
        raise AttemptFailed(input_failure.TOO_NARROW)
    return _even(display[0] * scale, box[0]), _even(display[1] * scale, box[1])


def _even(length: float, most: int) -> int:
    # The encoders' 4:2:0 pictures have half-size colour planes, so odd sizes are refused.
    return max(_LEAST_SIDE, min(2 * round(length / 2), most - most % 2))


def follow(engine: Engine, plan: EncodePlan, on_reading: Callable[[Reading], None]) -> Callable[[str], bool]:
    """A line handler for ``EngineProcess``: passes readings on and tells whether the engine got further."""
    state = ProgressState(plan.duration, rate=plan.fps)
    return hear_progress(
        engine, state, lambda reading: on_reading(_of_both_passes(reading, plan) if plan.pass_number else reading)
    )


def hear_progress(
    engine: Engine, state: ProgressState, on_reading: Callable[[Reading], None] = lambda _reading: None
) -> Callable[[str], bool]:
    """As `follow`, of any run of the engine; ``state`` has what its lines said."""

    def on_line(line: str) -> bool:
        reading = engine.parse_progress(line, state)
        if reading is None:
            return False
        on_reading(reading)
        return reading.moved

    return on_line


def _of_both_passes(reading: Reading, plan: EncodePlan) -> Reading:
    """Each pass is half of the work; of the second one nothing is known during the first but that it is no shorter."""
    done = (reading.percent + 100.0 * (plan.pass_number - 1)) / 2
    eta = reading.eta
    if eta is not None and reading.speed and plan.pass_number == 1:
        eta += plan.duration / reading.speed
    return msgspec.structs.replace(reading, percent=round(done, 2), eta=eta)
