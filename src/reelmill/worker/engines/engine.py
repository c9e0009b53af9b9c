"""What every engine meets, and the plan it is given: everything about one encode, decided before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Literal, Protocol

import msgspec

from reelmill.domain.attempt import Grant
from reelmill.domain.failure import Failure
from reelmill.domain.request import CONTAINERS, MAX_SECONDS, SYNTHETIC_SECONDS
from reelmill.domain.scenario import Scenario
from reelmill.media import input_failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.media_info import MediaInfo

AudioHandling = Literal["copy", "encode"]

_LEAST_SIDE = 2


class EncodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One encode. Sizes in pixels, times in media seconds, ``bitrate`` in bit/s; both paths are absolute.

    ``source`` and ``input_path`` are None for a synthetic job. ``duration`` is what the output must last and
    ``video_duration`` its picture (None: unknown); ``limit`` is where to cut (None: at the source's end).
    ``audio`` says for each audio stream of the source, in order, what becomes of it.
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


class Engine(Protocol):
    """A program that encodes. It holds nothing that changes: one object serves all jobs of a worker."""

    @property
    def name(self) -> str:
        """As in ``Capabilities.engines``."""
        ...

    def command(self, plan: EncodePlan) -> list[str]:
        """The argv list that runs the plan; its first item is an absolute path."""
        ...

    def parse_progress(self, line: str, state: ProgressState) -> Reading | None:
        """Take in one line of the engine's stdout; a reading when the line completes one."""
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
    width, height = scenario.width, scenario.height
    asked = parameters.duration
    audio: tuple[AudioHandling, ...] = ()
    if source is None:
        duration = video_duration = limit = SYNTHETIC_SECONDS if asked is None else asked
    else:
        width, height = fit(source.display_size, (width, height))
        limit = asked if asked is not None and asked < source.duration else None
        duration = source.duration if limit is None else limit
        if duration > MAX_SECONDS:
            raise AttemptFailed(input_failure.TOO_LONG)
        video_duration = None if source.video_duration is None else min(source.video_duration, duration)
        audio = tuple("copy" if codec == "aac" else "encode" for codec in source.audio_codecs)
    return EncodePlan(
        scenario=scenario,
        source=source,
        input_path=input_path,
        output_path=output_path,
        width=width,
        height=height,
        duration=duration,
        video_duration=video_duration,
        limit=limit,
        bitrate=parameters.bitrate,
        threads=max(1, grant.units),
        container=CONTAINERS[PurePath(parameters.output or output_path).suffix.lower()],
        audio=audio,
    )


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
    state = ProgressState(plan.duration)

    def on_line(line: str) -> bool:
        reading = engine.parse_progress(line, state)
        if reading is None:
            return False
        on_reading(reading)
        return reading.moved

    return on_line
