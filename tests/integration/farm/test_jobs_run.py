"""Jobs really run: from a request to a verified file, or to a failure with a name."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.waiting import wait_until

from .conftest import FarmMaker, FarmUnderTest, sha256_of


async def test_a_synthetic_job_gives_a_verified_file(farm: FarmUnderTest) -> None:
    """P8: `completed` means that the file in place is the one that was probed, down to its hash."""
    job = await farm.ended(await farm.submit(duration=0.5, bitrate="500k"))
    assert job["status"] == "completed", job
    result = job["result"]
    output = farm.media / result["output"]
    assert tuple(result[name] for name in ("width", "height", "codec", "fps", "frames")) == (854, 480, "h264", 30.0, 15)
    assert pytest.approx(result["duration"], abs=0.05) == 0.5
    assert (output.stat().st_size, sha256_of(output)) == (result["size_bytes"], result["sha256"])
    await wait_until(lambda: asyncio.sleep(0, farm.attempt_folders()), lambda left: left == [])


async def test_every_step_of_a_job_is_in_its_history(farm: FarmUnderTest) -> None:
    """Every transition is a row: submitted, assigned, started, verified, published."""
    job = await farm.ended(await farm.submit(duration=0.2))
    steps = (await farm.get(f"/jobs/{job['id']}/history"))["history"]
    assert [step["to_status"] for step in steps] == ["queued", "assigned", "running", "running", "completed"]
    assert [step["from_status"] for step in steps] == [None, "queued", "assigned", "running", "running"]


async def test_a_real_file_keeps_its_length_aspect_and_sound(farm: FarmUnderTest, clip: Path) -> None:
    """A 4:3 clip becomes 720 lines high and stays 4:3, as long as it was, with its audio."""
    shutil.copy(clip, farm.media / "my clip.mp4")
    job = await farm.ended(await farm.submit("720p30-h264", input=str(farm.media / "my clip.mp4")))
    assert job["status"] == "completed", job
    result = job["result"]
    assert tuple(result[name] for name in ("width", "height", "codec", "audio_codec")) == (960, 720, "h264", "aac")
    assert pytest.approx(result["duration"], abs=0.1) == 2.0


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("text.mp4", b"this is not a video\n" * 100, "input_not_media"),
        ("empty.mp4", b"", "input_not_media"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "input_not_media"),
    ],
)
async def test_a_bad_input_fails_fast_named_and_is_not_retried(
    farm: FarmUnderTest, name: str, content: bytes, code: str
) -> None:
    """P9: one attempt, a stable code, nothing published."""
    (farm.media / name).write_bytes(content)
    job = await farm.ended(await farm.submit(input=name))
    assert ("failed", "input_error", code, 1) == (
        job["status"],
        job["failure_reason"],
        job["error_code"],
        job["attempt"],
    )
    assert [path for path in farm.outputs() if path != name] == []


async def test_an_input_that_is_not_there_is_refused_at_once(farm: FarmUnderTest) -> None:
    """P9: what can be seen at the submission is told at the submission, with the field."""
    response = await farm.http.post("/jobs", json={"scenario": "480p30-h264", "parameters": {"input": "nope.mp4"}})
    expected = f"parameters.input: 'nope.mp4' does not exist under the media root {farm.media}"
    assert (422, expected) == (response.status_code, response.json()["detail"])


async def test_an_input_that_vanished_fails_its_job(make_farm: FarmMaker, clip: Path) -> None:
    """P9: a file that was there at the submission and is gone when the job runs: one attempt, named."""
    farm = make_farm()
    await farm.start_master()
    shutil.copy(clip, farm.media / "clip.mp4")
    job = await farm.submit(input="clip.mp4")
    (farm.media / "clip.mp4").unlink()
    await farm.worker.start()
    seen = await farm.ended(job)
    assert ("failed", "input_missing", 1) == (seen["status"], seen["error_code"], seen["attempt"])


async def test_a_link_to_a_name_that_is_no_text_is_transcoded(farm: FarmUnderTest, clip: Path) -> None:
    """File names are bytes: one that is not UTF-8 stops neither its job nor the worker."""
    name = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(clip, farm.media / name)
    (farm.media / "clip.mp4").symlink_to(name)
    job = await farm.ended(await farm.submit(input="clip.mp4"))
    assert "completed" == job["status"], job
    assert "completed" == (await farm.ended(await farm.submit(duration=0.1)))["status"]


async def test_a_link_out_of_the_media_root_is_not_opened(farm: FarmUnderTest, clip: Path) -> None:
    """A path that looks harmless but leads out of the root is refused where it is opened."""
    (farm.media / "inside.mp4").symlink_to(clip)
    job = await farm.ended(await farm.submit(input="inside.mp4"))
    assert (job["status"], job["error_code"]) == ("failed", "input_outside_root")


async def test_an_output_never_replaces_another_file(farm: FarmUnderTest) -> None:
    """Whatever is at the output's path stays, and the job says so before it encodes."""
    (farm.media / "precious.mp4").write_bytes(b"precious")
    job = await farm.ended(await farm.submit(duration=0.2, output="precious.mp4"))
    assert (job["status"], job["error_code"]) == ("failed", "output_exists")
    assert (farm.media / "precious.mp4").read_bytes() == b"precious"


async def test_overwrite_replaces_the_file(farm: FarmUnderTest) -> None:
    """Asked for, the new output takes the old one's place."""
    (farm.media / "old.mp4").write_bytes(b"old")
    job = await farm.ended(await farm.submit(duration=0.2, output="old.mp4", overwrite=True))
    assert job["status"] == "completed", job
    assert job["result"]["sha256"] == sha256_of(farm.media / "old.mp4")


async def test_the_log_has_the_command_and_the_engines_messages(farm: FarmUnderTest) -> None:
    """What was run can be run again by hand."""
    job = await farm.ended(await farm.submit(duration=0.2))
    [attempt] = (await farm.get(f"/jobs/{job['id']}/logs"))["attempts"]
    assert attempt["command"].startswith(str(farm.inventory.ffmpeg.path))


async def test_a_job_that_takes_too_long_times_out(farm: FarmUnderTest) -> None:
    """A timeout ends each try; when the tries are used up the job is `timed_out`."""
    await farm.stop()
    job_farm = FarmUnderTest(farm.media.parent, farm.inventory, max_failures=1)
    try:
        await job_farm.start_master()
        await job_farm.worker.start()
        job = await job_farm.ended(await job_farm.submit("1080p60-h265", duration=600, timeout=0.5))
        assert (job["status"], job["error_code"]) == ("timed_out", "job_timed_out")
    finally:
        await job_farm.stop()
