"""What a ladder's encode has left: its playlists are written, and each rung is judged before anybody sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelmill.domain.failure import Failure
from reelmill.domain.job import Rendition
from reelmill.media.failed import AttemptFailed
from reelmill.worker.engines.engine import EncodePlan, rung_plan
from reelmill.worker.engines.ffmpeg_ladder import SOUND, segment_length
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.playlist import (
    MediaPlaylist,
    Track,
    read_media_playlist,
    write_master,
    write_mpd,
)
from reelmill.worker.probe import Probe
from reelmill.worker.verify import verify

MAIN_PLAYLIST, MANIFEST = "master.m3u8", "manifest.mpd"
_SLACK_SECONDS = 0.25
_ROUNDING = 0.5  # a target duration is a whole number
_SOUND_CODECS = "mp4a.40.2"


class LadderOutput(NamedTuple):
    """What is known of the largest rung, with the sound that all have, and the rungs that were made."""

    top: MediaInfo
    renditions: tuple[Rendition, ...]


async def finish_ladder(plan: EncodePlan, probe: Probe) -> LadderOutput:
    """Judge what is in the output's folder, and leave the playlist there that players begin with.

    AttemptFailed with the first thing that is wrong.
    """
    folder = plan.output_path
    tracks: list[Track] = []
    infos: list[MediaInfo] = []
    for rung in plan.rungs:
        playlist = await asyncio.to_thread(_read_playlist, folder, rung.name)
        info = await probe.probe(folder / playlist.file, count_frames=True)
        failure = verify(rung_plan(plan, rung), msgspec.structs.replace(info, duration=_length(info)))
        if failure is not None:
            raise AttemptFailed(_in_rung(rung.name, failure))
        if not info.name:
            raise _wrong(f"the file of {rung.name} does not say the profile of its codec")
        tracks.append(Track(rung.name, info.name, playlist, info.width, info.height, plan.fps))
        infos.append(info)
    _check_together(plan, tracks, infos)
    sound_info, sound = await _look_at_sound(plan, probe) if plan.audio else (None, None)
    await asyncio.to_thread(_write, plan, tracks, sound)
    top = infos[0]
    if sound_info is not None:
        codecs, channels = sound_info.audio_codecs, sound_info.audio_channels
        top = msgspec.structs.replace(top, audio_codecs=codecs, audio_channels=channels)
    return LadderOutput(top, tuple(_rendition(*pair) for pair in zip(tracks, infos, strict=True)))


def _length(info: MediaInfo) -> float:
    return info.video_duration or info.duration


async def _look_at_sound(plan: EncodePlan, probe: Probe) -> tuple[MediaInfo, Track]:
    playlist = await asyncio.to_thread(_read_playlist, plan.output_path, SOUND)
    info = await probe.probe_sound(plan.output_path / playlist.file)
    if info.audio_codecs != (plan.audio_codec,):
        raise _wrong(f"the codec of its sound is {', '.join(info.audio_codecs)}, and {plan.audio_codec} was asked for")
    channels = plan.scenario.audio.channels
    if channels is not None and info.audio_channels != (channels,):
        raise _wrong(f"its sound has {info.channels_of(0)} channels, and {channels} were asked for")
    if playlist.seconds > plan.duration + max(_SLACK_SECONDS, 0.01 * plan.duration):
        raise _wrong(f"its sound lasts {playlist.seconds:.2f} s, and {plan.duration:.2f} s was expected")
    return info, Track(SOUND, _SOUND_CODECS, playlist, channels=info.channels_of(0) or 0)


def _check_together(plan: EncodePlan, tracks: list[Track], infos: list[MediaInfo]) -> None:
    """Whether a player may change from each rung to each other at every segment."""
    first = tracks[0]
    lengths = [round(segment.seconds, 4) for segment in first.playlist.segments]
    for track, info in zip(tracks, infos, strict=True):
        if info.frames != infos[0].frames:
            raise _wrong(f"{track.name} has {info.frames} frames, and {first.name} has {infos[0].frames}")
        if info.key_frames != infos[0].key_frames:
            raise _wrong(f"the key frames of {track.name} are not where those of {first.name} are")
        if [round(segment.seconds, 4) for segment in track.playlist.segments] != lengths:
            raise _wrong(f"the segments of {track.name} do not begin where those of {first.name} do")
    expected = float(segment_length(plan))
    if any(abs(length - expected) > 1 / plan.fps for length in lengths[:-1]) or lengths[-1] > expected + 1 / plan.fps:
        raise _wrong(f"its segments do not last {expected:.3f} s each")
    if abs(first.playlist.seconds - _length(infos[0])) > _SLACK_SECONDS:
        raise _wrong(f"its playlists last {first.playlist.seconds:.2f} s, and its pictures {_length(infos[0]):.2f} s")


def _read_playlist(folder: Path, name: str) -> MediaPlaylist:
    try:
        playlist = read_media_playlist(_read(folder / f"{name}.m3u8"))
    except ValueError as error:
        raise _wrong(f"the playlist of {name} is broken: {error}") from error
    at = playlist.header
    for segment in playlist.segments:
        if segment.offset != at or segment.size <= 0:
            raise _wrong(f"the segments of {name} do not follow one another")
        at += segment.size
        if segment.seconds > playlist.target + _ROUNDING:
            raise _wrong(f"a segment of {name} is longer than its playlist promises")
    file = folder / f"{name}.m4s"
    if playlist.file != file.name or not playlist.ended or not file.exists() or file.stat().st_size < at:
        raise _wrong(f"the playlist of {name} is not that of its file")
    return playlist


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise _wrong(f"its file {path.name} is not there") from None


def _write(plan: EncodePlan, tracks: list[Track], sound: Track | None) -> None:
    folder = plan.output_path
    assert plan.scenario.ladder is not None
    if plan.scenario.ladder.format == "hls":
        (folder / MAIN_PLAYLIST).write_text(write_master(tracks, sound))
        return
    (folder / MANIFEST).write_text(write_mpd(tracks, sound))
    for playlist in folder.glob("*.m3u8"):
        playlist.unlink()


def _rendition(track: Track, info: MediaInfo) -> Rendition:
    return Rendition(track.name, info.width, info.height, info.frames, track.playlist.average, track.playlist.peak)


def _in_rung(name: str, failure: Failure) -> Failure:
    return msgspec.structs.replace(failure, message=f"In {name}: {failure.message}")


def _wrong(what: str) -> AttemptFailed:
    message = f"The ladder is not what was asked for: {what}; the job's log has the engine's messages."
    return AttemptFailed(Failure("runtime_error", "output_invalid", message))
