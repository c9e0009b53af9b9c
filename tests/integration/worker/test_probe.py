"""The probe: what a file is, told by a process that may die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from reelmill.domain.failure import Failure
from reelmill.worker.inventory import Ffmpeg
from reelmill.worker.probe import Probe, ProbeError

MakeMedia = Callable[..., Path]


async def failure_of(probe: Probe, path: Path, *, count_frames: bool = False) -> Failure:
    with pytest.raises(ProbeError) as caught:
        await probe.probe(path, count_frames=count_frames)
    return caught.value.failure


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
async def test_a_film_is_described(probe: Probe, make_media: MakeMedia, name: str) -> None:
    """Codec, size, rate, length, frames and audio, in whatever container."""
    info = await probe.probe(make_media(name, "-c:a", "aac"), count_frames=True)
    assert (info.codec, info.width, info.height, info.fps) == ("h264", 320, 240, 25.0)
    assert (info.frames, info.video_duration, info.audio_codecs) == (50, pytest.approx(2.0, abs=0.05), ("aac",))
    assert info.duration == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("encoder", "codec"), [("libx265", "h265"), ("libvpx-vp9", "vp9"), ("libsvtav1", "av1"), ("mpeg4", "mpeg4")]
)
async def test_codecs_have_our_names(probe: Probe, make_media: MakeMedia, encoder: str, codec: str) -> None:
    """What scenarios call h265 is h265; a codec that none encodes keeps ffmpeg's name."""
    info = await probe.probe(make_media("a.mkv", "-c:v", encoder, "-preset", "8" if codec == "av1" else "fast"))
    assert info.codec == codec


async def test_pixel_shape_and_rotation_are_seen(probe: Probe, make_media: MakeMedia, ffmpeg: Ffmpeg) -> None:
    """An anamorphic film and a phone's upright one are shown in their own aspect."""
    wide = await probe.probe(make_media("wide.mp4", "-vf", "setsar=64/45", size="720x576"))
    flat, turned = make_media("flat.mp4"), make_media("flat.mp4").with_name("turned.mp4")
    turn = ["-display_rotation", "90", "-i", str(flat), "-c", "copy", str(turned)]
    subprocess.run([ffmpeg.path, "-v", "error", *turn], check=True)
    upright = await probe.probe(turned)
    assert wide.display_size == (1024, 576)
    assert (upright.rotation % 180, upright.display_size) == (90, (240, 320))


async def test_a_stream_without_a_length_is_measured(probe: Probe, make_media: MakeMedia) -> None:
    """A raw stream says nothing of its length, so its pictures are counted."""
    info = await probe.probe(make_media("a.h264", sound=False))
    assert (info.frames, info.duration) == (50, pytest.approx(2.0))


@pytest.mark.parametrize("name", ["-a b.mp4", "a:b.mp4", "http:a.mp4", "new\nline.mp4", "🎬 %d.mp4", "'\"$(x).mp4"])
async def test_any_name_is_only_a_name(probe: Probe, make_media: MakeMedia, name: str) -> None:
    """Spaces, colons, dashes, line ends and emoji are part of a name and nothing else."""
    assert (await probe.probe(make_media("plain.mp4").rename(make_media("x.mp4").with_name(name)))).frames == 50


async def test_a_name_that_is_no_text_is_found(probe: Probe, make_media: MakeMedia) -> None:
    """File names are bytes."""
    film = make_media("a.mp4")
    assert (await probe.probe(film.rename(os.fsdecode(os.fsencode(film.parent) + b"/\xff.mp4")))).codec == "h264"


async def test_what_is_not_a_film_is_refused_by_name(probe: Probe, make_media: MakeMedia, tmp_path: Path) -> None:
    """P9: each kind of bad input has its own code and is not tried again."""
    (tmp_path / "text.mp4").write_text("just some words\n" * 1000)
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "fifo.mp4")
    film = make_media("film.mp4", seconds=5)
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:40_000])
    make_media("sound.mp4", "-map", "1:a", "-c:a", "aac")
    found = {
        name: await failure_of(probe, tmp_path / name)
        for name in ("nowhere.mp4", "text.mp4", "empty.mp4", "fifo.mp4", ".", "cut.mp4", "sound.mp4")
    }
    assert {name: failure.code for name, failure in found.items()} == {
        "nowhere.mp4": "input_missing",
        "text.mp4": "input_not_media",
        "empty.mp4": "input_not_media",
        "fifo.mp4": "input_not_media",
        ".": "input_not_media",
        "cut.mp4": "input_truncated",
        "sound.mp4": "no_video_stream",
    }
    assert not [failure for failure in found.values() if failure.retryable]


async def test_what_libav_calls_an_error_of_the_disk_may_be_the_file(
    probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """P9: a Matroska file cut in its header is the file's fault, and not tried again."""
    (tmp_path / "head.mkv").write_bytes(make_media("film.mkv").read_bytes()[:100])
    failure = await failure_of(probe, tmp_path / "head.mkv")
    assert ("input_invalid", False) == (failure.code, failure.retryable)


async def test_playlists_and_scripts_lead_nowhere(probe: Probe, make_media: MakeMedia, tmp_path: Path) -> None:
    """A playlist or a concat script, whatever its name, opens no other file."""
    film = make_media("secret.mp4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{film}\n#EXT-X-ENDLIST\n"
    for name, content in (
        ("list.m3u8", playlist),
        ("list.mp4", playlist),
        ("script.mp4", f"ffconcat version 1.0\nfile '{film}'\n"),
        ("session.mp4", f"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=fmtp:96 {film}\n"),
    ):
        (tmp_path / name).write_text(content)
        assert (await failure_of(probe, tmp_path / name)).code == "input_not_media"


async def test_counting_tells_the_truth_about_a_truncated_file(
    probe: Probe, make_media: MakeMedia, tmp_path: Path
) -> None:
    """A header may promise more than the file holds; counted frames are facts."""
    film = make_media("film.mkv", seconds=5)
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    claimed = await probe.probe(tmp_path / "cut.mkv")
    counted = await probe.probe(tmp_path / "cut.mkv", count_frames=True)
    assert claimed.video_duration == pytest.approx(5.0)
    assert counted.video_duration is not None
    assert counted.video_duration < 4.0
    assert counted.frames < 100


async def test_a_crash_is_survived(probe: Probe, make_media: MakeMedia) -> None:
    """A probe process that dies is replaced, and the file is looked at again."""
    film = make_media("a.mp4")
    before = probe.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert (await probe.probe(film)).codec == "h264"
    assert probe.pid != before


async def test_a_probe_that_takes_too_long_is_replaced(probe: Probe, make_media: MakeMedia) -> None:
    """A stopped process answers nothing: the caller gets a failure that may be tried again, the next one an answer."""
    film = make_media("a.mp4")
    slow = Probe(timeout=0.3)
    await slow.start()
    pid = slow.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    failure = await failure_of(slow, film)
    assert (failure.code, failure.retryable) == ("probe_timed_out", True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    patient = Probe()
    assert (await patient.probe(film)).codec == "h264"
    await slow.stop()
    await patient.stop()


async def test_a_cancelled_question_leaves_no_answer_for_the_next(probe: Probe, make_media: MakeMedia) -> None:
    """Answers are never given to the wrong question."""
    small, large = make_media("small.mp4"), make_media("large.mp4", size="640x480")
    task = asyncio.create_task(probe.probe(small))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await probe.probe(large)).width == 640


async def test_questions_at_once_are_answered_each(probe: Probe, make_media: MakeMedia) -> None:
    """Many may ask at the same time."""
    films = [make_media(f"{width}.mp4", size=f"{width}x240") for width in (320, 352, 640)]
    infos = await asyncio.gather(*(probe.probe(film) for film in films * 5))
    assert [info.width for info in infos] == [320, 352, 640] * 5


async def test_an_input_need_not_wait_for_an_output(make_media: MakeMedia) -> None:
    """While one process is at work the next question goes to another one, which is started for it, and kept."""
    film = make_media("film.mp4")
    others = psutil.Process().children()
    probe = Probe(timeout=60, processes=2)
    await probe.start()
    first = probe.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    waits = asyncio.create_task(probe.probe(film))
    await asyncio.sleep(0)
    assert (await probe.probe(film)).codec == "h264"
    assert probe.pid not in (None, first)
    os.kill(first, signal.SIGCONT)
    assert (await waits).codec == "h264"
    await probe.stop()
    assert psutil.Process().children() == others


async def test_stop_leaves_nothing_and_may_be_repeated(probe: Probe) -> None:
    """After `stop` the process is gone and reaped."""
    pid = probe.pid
    assert pid is not None
    await probe.stop()
    await probe.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_is_limited() -> None:
    """The probe process gives up memory, files to write and core dumps before it opens anything."""
    script = (
        "import resource as r; from reelmill.worker.probe_process import limit; limit();"
        "print(*(r.getrlimit(k)[1] for k in (r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(2 * 1024**3), "0", "64", "0"]


def test_the_worker_itself_never_loads_a_decoder() -> None:
    """Strangers' media is opened in processes that may die; the agent's own has no code for it."""
    parts = ", ".join(f"reelmill.worker.{name}" for name in ("probe", "inventory", "verify", "depot"))
    script = f"import sys, {parts}; print('av' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
