"""The audio and subtitle options of a plan, for each track of its source."""

from __future__ import annotations

from reelmill.domain.sound import Sound
from reelmill.worker.engines.engine import EncodePlan

AUDIO_BITRATE = "160k"
_STEREO = 2
_BITRATE_PER_CHANNEL = 64_000
_ENCODERS = {"aac": "aac", "opus": "libopus"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_OPUS_LAYOUTS = "mono|stereo|5.1|7.1"
_OUTPUT_RATE = 48_000
_TRUE_PEAK, _LOUDNESS_RANGE = -1.5, 11


def audio_options(plan: EncodePlan) -> list[str]:
    """Every audio stream, copied or encoded."""
    if not plan.audio:
        return []
    each: list[str] = []
    for index, handling in enumerate(plan.audio):
        if handling == "copy":
            each += [f"-c:a:{index}", "copy"]
        else:
            each += encode_track(plan, index)
    return ["-map", "0:a", *each]


def encode_track(plan: EncodePlan, index: int) -> list[str]:
    """One audio stream of the output, the source's of the same number, as the scenario wants it."""
    sound = plan.scenario.audio
    channels = sound.channels or (plan.source.channels_of(index) if plan.source is not None else None)
    bitrate = AUDIO_BITRATE if sound.bitrate is None else str(sound.bitrate)
    if sound.bitrate is None and channels is not None and channels > _STEREO:
        bitrate = str(channels * _BITRATE_PER_CHANNEL)
    filters = audio_filters(sound, plan.audio_codec)
    chain = [f"-filter:a:{index}", ",".join(filters)] if filters else []
    if plan.stream is not None:  # it may come back with another rate, and one track has one
        chain += [f"-ar:a:{index}", str(_OUTPUT_RATE)]
    return [f"-c:a:{index}", _ENCODERS[plan.audio_codec], f"-b:a:{index}", bitrate, *chain]


def audio_filters(sound: Sound, codec: str) -> list[str]:
    """Channels first: what is mixed down has another loudness."""
    filters: list[str] = []
    if sound.channels is not None:
        filters.append(f"aformat=channel_layouts={_LAYOUTS[sound.channels]}")
    elif codec == "opus":
        filters.append(f"aformat=channel_layouts={_OPUS_LAYOUTS}")
    if sound.loudness is not None:
        # The filter works, and would leave the sound, at 192 kHz.
        filters += [f"loudnorm=I={sound.loudness:g}:TP={_TRUE_PEAK}:LRA={_LOUDNESS_RANGE}", f"aresample={_OUTPUT_RATE}"]
    return filters


def subtitle_options(plan: EncodePlan) -> list[str]:
    """Every subtitle stream that is kept."""
    if not plan.subtitles:
        return []
    each = (option for index, encoder in enumerate(plan.subtitles) for option in (f"-c:s:{index}", encoder))
    return ["-map", "0:s", *each]
