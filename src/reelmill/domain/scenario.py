"""Scenarios: what to encode. The built-in catalogue, and how a name is looked up in it.

The catalogue is ``<size><rate>-<codec>``: four sizes at 60 and 30 frames per second in h264 and h265,
and a few in vp9 and av1. ``2160p`` is another way to write ``4K``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from reelmill.domain.capability import with_encoder, with_feature
from reelmill.domain.container import CONTAINERS, Container, ContainerName
from reelmill.domain.ladder import Ladder, LadderFormat, Rung
from reelmill.domain.picture import Picture, PixelFormat
from reelmill.domain.rate_control import RateControl
from reelmill.domain.sound import Sound
from reelmill.domain.suggestion import unknown_name
from reelmill.domain.thumbnails import CODEC, FEATURE, Thumbnails
from reelmill.errors import NotFound

RANDOM = "random"
"""The launcher's word for "any scenario of the catalogue"; never a scenario itself."""


class Scenario(msgspec.Struct, frozen=True):
    """What to encode: a box of ``width`` x ``height`` pixels, ``fps`` frames per second, one codec.

    ``bitrate_low`` and ``bitrate_high`` (bit/s) are the usual range, from which load tests draw. ``cost`` is in CPU
    units: how many cores the encoder gets and how much room a node must have. ``container`` None leaves it to the
    output's name. ``subtitles`` keeps the source's text tracks. There is a key frame every ``keyframe_seconds``.
    With a ``ladder`` the output is a folder of several sizes, of which ``width`` x ``height`` is the largest; with
    ``thumbnails`` one of pictures, and the box is that of the poster. An ``encoder`` is that one and no other; None
    leaves it to the node.
    """

    name: str
    width: int
    height: int
    fps: int | float
    codec: str
    bitrate_low: int
    bitrate_high: int
    preset: str
    cost: int
    container: ContainerName | None = None
    pixel_format: PixelFormat = "yuv420p"
    rate: RateControl = RateControl()
    picture: Picture = Picture()
    audio: Sound = Sound()
    subtitles: Literal["none", "keep"] = "none"
    keyframe_seconds: float = 2.0
    ladder: Ladder | None = None
    encoder: str | None = None
    thumbnails: Thumbnails | None = None

    @property
    def makes_folder(self) -> bool:
        """Whether the output is several files in a folder of its own."""
        return self.ladder is not None or self.thumbnails is not None

    @property
    def bitrate_limits(self) -> tuple[int, int]:
        """The least and the most bit/s that are accepted: far outside the usual range, but not nonsense."""
        return self.bitrate_low // 10, self.bitrate_high * 4

    @property
    def bitrate_default(self) -> int:
        """The middle of the usual range, in bit/s."""
        return (self.bitrate_low + self.bitrate_high) // 2

    @property
    def follows_bitrate(self) -> bool:
        """Whether a job may ask for a bitrate of its own."""
        return self.rate.follows_bitrate and not self.makes_folder

    def encoder_needed(self, container: Container) -> str:
        """What an engine must be able to do, as `Needs.codec` says it: the codec, and whether more than a plain one.

        Plain are the built-in scenarios in the containers that every version knows.
        """
        if self.encoder is not None:
            return with_encoder(self.codec, self.encoder)
        if self.ladder is not None:
            return with_feature(self.codec, LADDER)
        if self.thumbnails is not None:
            return with_feature(self.codec, FEATURE)
        is_plain = container.name in _PLAIN_CONTAINERS and CATALOGUE.get(self.name) == self
        return self.codec if is_plain else with_feature(self.codec, OPTIONS)

    @property
    def suits_hardware(self) -> bool:
        """Whether hardware encoders do what it asks: an average bitrate in one pass, of 8 bits, of one rendition."""
        return self.rate.mode == "bitrate" and self.pixel_format == "yuv420p" and not self.makes_folder

    @property
    def usual_container(self) -> Container:
        """That of an output whose name nobody gave."""
        return CONTAINERS[self.container or "mp4"]


OPTIONS = "options"
"""The feature of engines that do all that a scenario may ask of one file beyond size, rate, codec and bitrate."""

LADDER = "ladder"
"""The feature of engines that make several renditions of one decode."""

_PLAIN_CONTAINERS = ("mp4", "mkv")

_M = 1_000_000
_SIZES = {  # name: width, height, usual bit/s low and high, CPU units
    "4K": (3840, 2160, 10 * _M, 25 * _M, 8),
    "1080p": (1920, 1080, 4 * _M, 10 * _M, 4),
    "720p": (1280, 720, 2 * _M, 5 * _M, 2),
    "480p": (854, 480, 1 * _M, 3 * _M, 1),
}
_COST_FACTOR = {"h264": 1.0, "h265": 1.5, "vp9": 1.5, "av1": 2.0}
# Each encoder's own scale: x264/x265 names, libvpx -cpu-used, SVT-AV1 -preset.
_PRESET = {"h264": "medium", "h265": "fast", "vp9": "5", "av1": "10"}
_EXTRA = (("1080p", 60, "vp9"), ("720p", 30, "vp9"), ("480p", 30, "av1"), ("1080p", 30, "av1"))


def _scenario(size: str, fps: int, codec: str) -> Scenario:
    width, height, low, high, units = _SIZES[size]
    cost = math.ceil(units * _COST_FACTOR[codec])
    return Scenario(f"{size}{fps}-{codec}", width, height, fps, codec, low, high, _PRESET[codec], cost)


def _build() -> dict[str, Scenario]:
    grid = [(size, fps, codec) for codec in ("h264", "h265") for size in _SIZES for fps in (60, 30)]
    return {scenario.name: scenario for scenario in (_scenario(*key) for key in (*grid, *_EXTRA))}


CATALOGUE: Mapping[str, Scenario] = MappingProxyType(_build())
_RUNGS = (
    Rung(1920, 1080, 5 * _M),
    Rung(1280, 720, 2_800_000),
    Rung(854, 480, 1_200_000),
)


def _ladder(format: LadderFormat) -> Scenario:  # noqa: A002  as the field is called
    ladder = Ladder(format, _RUNGS)
    cost = sum(units for _, height, _, _, units in _SIZES.values() if height in {rung.height for rung in _RUNGS})
    return Scenario(
        f"ladder-{format}",
        *(ladder.rungs[0].width, ladder.rungs[0].height, 30, "h264"),
        *(ladder.bitrate, ladder.bitrate, _PRESET["h264"], cost),
        container="mp4",
        picture=Picture(frame_rate="cap"),
        audio=Sound("aac", bitrate=128_000, channels=2),
        ladder=ladder,
    )


LADDERS: Mapping[str, Scenario] = MappingProxyType({one.name: one for one in (_ladder("hls"), _ladder("dash"))})
"""Built in too, and never drawn by `random`: the same seed must go on to give the same jobs."""

THUMBNAILS = Scenario(
    "thumbnails",
    *(1280, 720, 1, CODEC, _M, _M, "", 2),  # of rate and preset nothing is used
    audio=Sound("none"),
    thumbnails=Thumbnails(),
)
"""Not drawn by `random` either."""

_SPECIAL = {**LADDERS, THUMBNAILS.name: THUMBNAILS}

_BY_LOWER_NAME = {
    spelling: scenario
    for name, scenario in CATALOGUE.items()
    for spelling in (name.lower(), name.lower().replace("4k", "2160p"))
}


ScenarioSource = Literal["built-in", "settings"]
_own: dict[str, Scenario] = {}


def use_scenarios(own: Mapping[str, Scenario]) -> None:
    """Let this process know these besides the built-in ones: a process serves one farm, whose settings name them."""
    _own.clear()
    _own.update(own)


def known_scenarios() -> dict[str, Scenario]:
    """All that this process knows, by name."""
    return {**CATALOGUE, **_SPECIAL, **_own}


def find_built_in(name: str) -> Scenario | None:
    """The built-in scenario of that name, in any case and with 2160p for 4K."""
    return CATALOGUE.get(name) or _BY_LOWER_NAME.get(name.lower()) or _SPECIAL.get(name.lower())


def find_scenario(name: str) -> Scenario:
    """The scenario of that name, in any case and with 2160p for 4K; NotFound with the nearest name otherwise."""
    scenario = find_built_in(name) or _own.get(name)
    if scenario is None:
        scenario = next((one for own, one in _own.items() if own.lower() == name.lower()), None)
    if scenario is None:
        hint = "`reelmill scenarios list` shows them all"
        names = [*known_scenarios(), *(name for name in _BY_LOWER_NAME if name.startswith("2160p"))]
        raise NotFound(f"{unknown_name('scenario', name, names)} ({hint})")
    return scenario


def source_of(scenario: Scenario) -> ScenarioSource:
    """Where this process has it from."""
    return "settings" if find_built_in(scenario.name) is None else "built-in"


def usual_preset(codec: object) -> str:
    """The preset of the built-in scenarios of that codec; empty when there is none."""
    return _PRESET.get(str(codec), "")


def usual_cost(scenario: Scenario) -> int:
    """CPU units by the size of the pictures and the codec, as the built-in scenarios have it."""
    sizes = [(scenario.width, scenario.height)]
    if scenario.ladder is not None:
        sizes = [(rung.width, rung.height) for rung in scenario.ladder.rungs]
    return math.ceil(sum(_units(width * height) for width, height in sizes) * _COST_FACTOR[scenario.codec])


def _units(pixels: int) -> float:
    by_size = sorted((width * height, units) for width, height, _, _, units in _SIZES.values())
    most, units = next(((size, units) for size, units in by_size if pixels <= size), by_size[-1])
    return units * max(1.0, pixels / most)
