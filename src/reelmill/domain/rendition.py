"""Whether a scenario makes sense: nonsense is refused by the name of its field, before any job asks for it."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from reelmill.domain.capability import CODECS
from reelmill.domain.container import CONTAINERS, SUFFIXES, container_of_name
from reelmill.domain.encoder import codec_of, is_hardware
from reelmill.domain.ladder import check_ladder
from reelmill.domain.picture import MOST_FPS, MOST_PIXELS, check_picture
from reelmill.domain.quantity import format_bitrate
from reelmill.domain.rate_control import check_rate_control
from reelmill.domain.scenario import THUMBNAILS, Scenario
from reelmill.domain.sound import check_sound
from reelmill.domain.thumbnails import Thumbnails, check_thumbnails
from reelmill.errors import InvalidField

LEAST_SIDE, MOST_SIDE = 16, 8192
_BITRATES = (10_000, 500_000_000)
_MOST_COST = 4096
_ALIASES = {"hevc": "h265", "avc": "h264", "x264": "h264", "x265": "h265", "H.264": "h264", "H.265": "h265"}
_MOST_KEYFRAME_SECONDS = 30.0
_NO_FOLDERS = (*SUFFIXES, ".m3u8", ".mpd", ".jpg", ".jpeg", ".vtt")
_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"),
)
PRESETS: dict[str, tuple[str, ...]] = {
    "h264": _X26X_PRESETS,
    "h265": _X26X_PRESETS,
    "vp9": tuple(str(number) for number in range(9)),
    "av1": tuple(str(number) for number in range(14)),
}
"""Each encoder's own scale: x264/x265 names, libvpx -cpu-used, SVT-AV1 -preset."""


def check_scenario(scenario: Scenario) -> None:
    """InvalidField with the field's name, such as ``rate.crf``, and what it may be."""
    if scenario.thumbnails is not None:
        _check_thumbnails(scenario, scenario.thumbnails)
        return
    if scenario.codec not in CODECS:
        also = f", which is called {_ALIASES[scenario.codec]} here" if scenario.codec in _ALIASES else ""
        raise InvalidField("codec", f"{scenario.codec!r}{also} is none of {', '.join(CODECS)}")
    _check_size(scenario)
    if not 1 <= scenario.fps <= MOST_FPS:
        raise InvalidField("fps", f"{scenario.fps:g} is out of range (1 to {MOST_FPS})")
    if scenario.encoder is not None:
        _check_encoder("encoder", scenario, scenario.encoder)
    presets = PRESETS[scenario.codec]
    if scenario.preset not in presets:
        raise InvalidField("preset", f"{scenario.preset!r} is none of {scenario.codec}'s: {', '.join(presets)}")
    _check_bitrates(scenario)
    _check_cost(scenario)
    if not 1 / scenario.fps <= scenario.keyframe_seconds <= _MOST_KEYFRAME_SECONDS:
        limits = f"one frame to {_MOST_KEYFRAME_SECONDS:g} seconds"
        raise InvalidField("keyframe_seconds", f"{scenario.keyframe_seconds:g} is out of range ({limits})")
    check_rate_control("rate", scenario.rate, scenario.codec)
    check_picture("picture", scenario.picture, scenario.pixel_format)
    _check_container(scenario)
    if scenario.ladder is not None:
        check_ladder("ladder", scenario.ladder, scenario.codec, scenario.keyframe_seconds)
        _check_with_ladder(scenario)


def _check_cost(scenario: Scenario) -> None:
    if not 1 <= scenario.cost <= _MOST_COST:
        raise InvalidField("cost", f"{scenario.cost} is out of range (1 to {_MOST_COST:,} CPU units)")


def _check_thumbnails(scenario: Scenario, thumbnails: Thumbnails) -> None:
    """All that is left to choose is the box of the poster, the sheets, and the cost."""
    chosen = {name: getattr(scenario, name) for name in ("name", "width", "height", "cost", "thumbnails")}
    for field, value in msgspec.structs.asdict(msgspec.structs.replace(THUMBNAILS, **chosen)).items():
        if getattr(scenario, field) != value:
            raise InvalidField(field, "has no meaning for thumbnails; leave it out, and extend 'thumbnails'")
    _check_size(scenario)
    _check_cost(scenario)
    check_thumbnails("thumbnails", thumbnails)


def name_encoder(field: str, scenario: Scenario, encoder: str) -> Scenario:
    """The scenario with that encoder and no other; InvalidField of that ``field`` when it cannot make it."""
    _check_encoder(field, scenario, encoder)
    return msgspec.structs.replace(scenario, encoder=encoder)


def _check_encoder(field: str, scenario: Scenario, encoder: str) -> None:
    codec = codec_of(field, encoder)
    if codec != scenario.codec:
        raise InvalidField(field, f"{encoder!r} makes {codec}, and {scenario.name} is {scenario.codec}")
    if is_hardware(encoder) and not scenario.suits_hardware:
        plain = "a bitrate in one pass, 8 bits (yuv420p) and one rendition"
        raise InvalidField(field, f"{encoder!r} is hardware, which does {plain} only; {scenario.name} asks for more")


def _check_with_ladder(scenario: Scenario) -> None:
    """What players of ladders do not take, or what one encode of all rungs cannot do."""
    assert scenario.ladder is not None
    top = scenario.ladder.rungs[0]
    for field, is_good, reason in (
        ("width", (scenario.width, scenario.height) == (top.width, top.height), "must be that of the largest rung"),
        ("container", scenario.container in (None, "mp4"), "of a ladder is mp4: its segments are fragments of it"),
        ("rate.mode", scenario.rate.mode in ("bitrate", "capped-crf"), "of a ladder is 'bitrate' or 'capped-crf'"),
        ("audio.codec", scenario.audio.codec in ("auto", "aac", "none"), "of a ladder is 'aac', or 'none'"),
        ("subtitles", scenario.subtitles == "none", "are not kept in a ladder"),
        ("bitrate_low", scenario.bitrate_low == scenario.ladder.bitrate, "of a ladder is that of all its rungs"),
        ("bitrate_high", scenario.bitrate_high == scenario.ladder.bitrate, "of a ladder is that of all its rungs"),
    ):
        if not is_good:
            raise InvalidField(field, reason)


def check_output(field: str, scenario: Scenario, output: str) -> None:
    """InvalidField of that ``field`` when an output of that name cannot hold what the scenario makes."""
    found = container_of_name(output)
    if scenario.makes_folder:
        if PurePath(output).suffix.lower() in _NO_FOLDERS:
            raise InvalidField(field, f"{output!r} is the name of a file, and {scenario.name} makes a folder")
        return
    if found is None:
        raise InvalidField(field, f"{output!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if scenario.container not in (None, found.name):
        raise InvalidField(field, f"{output!r} must end in .{scenario.container}, which {scenario.name} makes")
    try:
        _check_container(msgspec.structs.replace(scenario, container=found.name))
    except InvalidField as error:
        raise InvalidField(field, f"{output!r} cannot hold what {scenario.name} makes: {error}") from None


def check_streamable(field: str, scenario: Scenario) -> None:
    """InvalidField of that ``field`` when RTMP does not carry what the scenario makes, or it is not made as it goes."""
    for wrong, what in (
        (scenario.codec != "h264", f"is {scenario.codec}, and RTMP carries h264"),
        (scenario.pixel_format != "yuv420p", f"has pictures of {scenario.pixel_format}, and streams have yuv420p"),
        (scenario.rate.mode != "bitrate", f"has the rate control {scenario.rate.mode}, and streams keep a bitrate"),
        (scenario.audio.codec in ("opus", "copy"), f"has sound of {scenario.audio.codec!r}, and RTMP carries AAC"),
        (scenario.subtitles != "none", "keeps subtitles, and streams have none"),
        (is_hardware(scenario.encoder or ""), f"names {scenario.encoder}, and streams are encoded in software"),
    ):
        if wrong:
            raise InvalidField(field, f"{scenario.name} {what}; use another scenario")


def _check_size(scenario: Scenario) -> None:
    for field, side in (("width", scenario.width), ("height", scenario.height)):
        if not LEAST_SIDE <= side <= MOST_SIDE:
            raise InvalidField(field, f"{side} is out of range ({LEAST_SIDE} to {MOST_SIDE} pixels)")
        if side % 2:
            raise InvalidField(
                field, f"{side} is odd, and 4:2:0 pictures have even sides; use {side - 1} or {side + 1}"
            )
    if scenario.width * scenario.height > MOST_PIXELS:
        raise InvalidField("width", f"{scenario.width}x{scenario.height} is larger than 8K, the most allowed")


def _check_bitrates(scenario: Scenario) -> None:
    low, high = _BITRATES
    for field, rate in (("bitrate_low", scenario.bitrate_low), ("bitrate_high", scenario.bitrate_high)):
        if not low <= rate <= high:
            limits = f"{format_bitrate(low)} to {format_bitrate(high)}"
            raise InvalidField(field, f"{format_bitrate(rate)} is out of range ({limits})")
    if scenario.bitrate_low > scenario.bitrate_high:
        raise InvalidField("bitrate_low", "is more than bitrate_high")


def _check_container(scenario: Scenario) -> None:
    container = None if scenario.container is None else CONTAINERS[scenario.container]
    check_sound("audio", scenario.audio, container)
    if container is None:
        return
    if scenario.codec not in container.video:
        fitting = ", ".join(one.name for one in CONTAINERS.values() if scenario.codec in one.video)
        raise InvalidField("container", f"{scenario.codec} does not go into {container.name}; use {fitting}")
    if scenario.subtitles == "keep" and container.subtitles is None:
        raise InvalidField("subtitles", f"cannot be kept in {container.name}; use mp4, mkv or webm")
