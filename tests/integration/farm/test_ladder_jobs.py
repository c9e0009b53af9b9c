"""A ladder as a job: its folder is in its place whole, over a shared folder and over HTTP, and nothing else is."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelmill.domain.scenario import use_scenarios
from reelmill.media.folder_output import FILE_LIST, is_sealed
from reelmill.worker.http_depot import HttpDepot
from tests.footage import BIG_BUCK_BUNNY

from .conftest import FarmMaker, FarmUnderTest, sha256_of

MINE = {
    "mine": {
        "extends": "ladder-hls",
        "preset": "ultrafast",
        "cost": 1,
        "ladder": {
            "segment_seconds": 2,
            "rungs": [
                {"width": 640, "height": 360, "bitrate": "800k"},
                {"width": 320, "height": 180, "bitrate": "200k"},
            ],
        },
    }
}


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    use_scenarios({})


@pytest.fixture(params=["shared folder", "over HTTP"])
async def farm(request: pytest.FixtureRequest, make_farm: FarmMaker, tmp_path: Path) -> FarmUnderTest:
    """A farm whose worker has the media folder, or has not."""
    farm = make_farm(scenarios=MINE, max_failures=1)
    shutil.copy(BIG_BUCK_BUNNY, farm.media / "bunny.mp4")
    await farm.start_master()
    if request.param == "over HTTP":
        farm.worker = farm.new_worker(depot=HttpDepot(farm.bus, tmp_path / "far", 10**9, patience=0.2))
    await farm.worker.start()
    return farm


async def test_a_ladder_is_published_whole(farm: FarmUnderTest) -> None:
    """P8: the result has each file with its size and hash, and the renditions; no attempt's folder is left."""
    job = await farm.ended(await farm.submit("mine", input="bunny.mp4", output="films/bunny"))
    assert "completed" == job["status"], job
    result, folder = job["result"], farm.media / "films" / "bunny"
    assert is_sealed(folder, result["sha256"], read_all=True)
    listed = {file["name"]: (file["size_bytes"], file["sha256"]) for file in result["files"]}
    there = {path.name: (path.stat().st_size, sha256_of(path)) for path in folder.iterdir() if path.name != FILE_LIST}
    assert listed == there
    assert sum(size for size, _ in listed.values()) == result["size_bytes"]
    assert [("360p", 640, 132), ("180p", 320, 132)] == [
        (one["name"], one["width"], one["frames"]) for one in result["renditions"]
    ]
    assert ("h264", 640, "aac") == tuple(result[key] for key in ("codec", "width", "audio_codec"))
    assert [] == farm.attempt_folders()


async def test_a_film_whose_sound_outlasts_its_picture_is_whole(farm: FarmUnderTest) -> None:
    """Each rendition is as long as the picture, and the sound as long as it was."""
    command = [
        *(str(farm.inventory.ffmpeg.path), "-v", "error", "-t", "2", "-i", str(BIG_BUCK_BUNNY), "-i"),
        *(str(BIG_BUCK_BUNNY), "-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast"),
    ]
    await asyncio.to_thread(subprocess.run, [*command, str(farm.media / "long-sound.mp4")], check=True)
    job = await farm.ended(await farm.submit("mine", input="long-sound.mp4", output="films/long-sound"))
    assert "completed" == job["status"], job["error"]
    assert [50, 50] == [one["frames"] for one in job["result"]["renditions"]]


async def test_a_place_that_is_taken_fails_before_the_work(farm: FarmUnderTest) -> None:
    """Be it by a folder; what is in it stays."""
    (farm.media / "films").mkdir()
    (farm.media / "films" / "theirs").write_text("theirs")
    job = await farm.ended(await farm.submit("mine", input="bunny.mp4", output="films"))
    assert ("failed", "output_exists") == (job["status"], job["error_code"])
    assert not (await farm.get(f"/jobs/{job['id']}/logs"))["attempts"], "an engine ran"
    assert ["theirs"] == [path.name for path in (farm.media / "films").iterdir()]


async def test_thumbnails_are_published_whole(farm: FarmUnderTest) -> None:
    """Their folder is one as a ladder's is, and so are its rules."""
    job = await farm.ended(await farm.submit("thumbnails", input="bunny.mp4", output="films/pictures"))
    assert ("completed", None) == (job["status"], job["error"])
    result, folder = job["result"], farm.media / "films" / "pictures"
    assert is_sealed(folder, result["sha256"], read_all=True)
    assert ["poster.jpg", "storyboard-1.jpg", "storyboard.vtt"] == [file["name"] for file in result["files"]]
    assert ("mjpeg", "jpeg", 1280, 1, None) == tuple(
        result[name] for name in ("codec", "container", "width", "frames", "audio_codec")
    )
    assert [] == farm.attempt_folders()


async def test_a_film_that_ends_early_has_no_thumbnails(farm: FarmUnderTest) -> None:
    """Its header promises more: what is missing would be shown as its last picture."""
    film = (farm.media / "bunny.mp4").read_bytes()
    (farm.media / "cut.mp4").write_bytes(film[: len(film) * 6 // 10])
    job = await farm.ended(await farm.submit("thumbnails", input="cut.mp4", output="films/cut"))
    assert ("failed", "input_truncated") == (job["status"], job["error_code"]), job
    assert not (farm.media / "films" / "cut").exists()
