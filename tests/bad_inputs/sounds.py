"""Sound of strange kinds, and streams that are neither sound nor picture."""

from __future__ import annotations

from pathlib import Path

from tests.bad_inputs.case import COMPLETES, INVALID, NOT_MEDIA, Case, fails
from tests.bad_inputs.kitchen import Kitchen, content, ffmpeg, film

_AUDIO_ONLY = ("-f", "lavfi", "-i", "sine=duration=1")
_EMPTY_WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
_NO_VIDEO = fails("no_video_stream")


def _subtitled(kitchen: Kitchen, path: Path) -> None:
    words = path.with_name("lines.srt")
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    kitchen.ffmpeg("-i", kitchen.film(".mkv"), "-i", words, "-c", "copy", "-c:s", "srt", f"file:{path}")
    words.unlink()


def _attachment(kitchen: Kitchen, path: Path) -> None:
    words = ["-i", kitchen.film(".mkv"), "-c", "copy", "-attach", kitchen.film(".mkv")]
    kitchen.ffmpeg(*words, "-metadata:s:t", "mimetype=application/octet-stream", f"file:{path}")


CASES = (
    Case("no sound", "silent.mp4", film(sound=False), COMPLETES, seen={"audio_codec": None}),
    Case("sound only (mp4)", "sound.m4a", ffmpeg(*_AUDIO_ONLY), _NO_VIDEO),
    Case("sound only (mp3)", "sound.mp3", ffmpeg(*_AUDIO_ONLY), _NO_VIDEO),
    Case("sound only (wav)", "sound.wav", ffmpeg(*_AUDIO_ONLY), _NO_VIDEO),
    Case("sound only (flac)", "sound.flac", ffmpeg(*_AUDIO_ONLY), _NO_VIDEO),
    Case("a wav of no length", "nothing.wav", content(_EMPTY_WAV), _NO_VIDEO),
    Case("a MIDI file", "song.mid", content(b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0"), NOT_MEDIA),
    Case("mono sound of 8 kHz", "phone.mp4", film("-ac", "1", "-ar", "8000"), COMPLETES),
    Case("sound of 96 kHz", "96k.mkv", film("-c:a", "flac", "-ar", "96000"), COMPLETES),
    Case("sound of 11025 Hz", "11k.avi", film("-c:a", "pcm_s16le", "-ar", "11025"), COMPLETES),
    Case("sound of 6 kHz in an odd format", "6k.mkv", film("-c:a", "pcm_u8", "-ar", "6000"), COMPLETES),
    Case("sound of 192 kHz", "192k.mkv", film("-c:a", "pcm_s24le", "-ar", "192000"), COMPLETES),
    Case("sound of 1 kHz", "1k.mkv", film("-c:a", "pcm_s16le", "-ar", "1000"), COMPLETES),
    Case("5.1 sound", "surround.mkv", film("-c:a", "ac3", "-ac", "6"), COMPLETES),
    Case("7.1 sound", "surround8.mkv", film("-c:a", "flac", "-ac", "8"), COMPLETES),
    Case("sound of 16 channels, which AAC has no name for", "sixteen.mkv",
         film("-c:a", "pcm_s16le", "-af", "pan=16c|" + "|".join(f"c{number}=c0" for number in range(16))),
         fails("audio_unsupported")),
    Case("Opus", "opus.mkv", film("-c:a", "libopus"), COMPLETES),
    Case("sound that lasts longer than the picture", "longer.mkv", film("-vf", "trim=duration=1", "-c:a", "aac"),
         COMPLETES),
    Case("sound that lasts half as long as the picture", "shorter.mkv", film("-af", "atrim=duration=1"), COMPLETES),
    Case("sound of no length beside a film", "mute.mkv", film("-af", "atrim=end_sample=0"), INVALID),
    Case("200 tracks of sound", "tracks.mkv",
         ffmpeg("-i", "FILM", "-map", "0:v", *("-map", "0:a") * 200, "-c", "copy"), COMPLETES),
    Case("200 films in one", "films.mkv", ffmpeg("-i", "FILM", *("-map", "0:v") * 200, "-c", "copy"), COMPLETES),
    Case("subtitles beside the film", "subtitled.mkv", _subtitled, COMPLETES),
    Case("a file attached to the film", "attached.mkv", _attachment, COMPLETES),
    Case("a stream of times (tmcd)", "timecode.mov", film("-timecode", "01:00:00:00"), COMPLETES),
    Case("chapters and a title of 100 KB", "title.mkv", film("-metadata", "title=" + "x" * 100_000), COMPLETES),
)  # fmt: skip
