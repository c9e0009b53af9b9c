"""One input, encoded in chunks and joined again: the same frames at the same times as in one piece."""

from __future__ import annotations

import asyncio
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from reelmill.domain.energy import Prices
from reelmill.master.attempt_cleaner import AttemptCleaner
from reelmill.worker.attempt import Attempt
from reelmill.worker.energy import Meter, Rapl
from reelmill.worker.http_depot import HttpDepot
from tests.footage import BIG_BUCK_BUNNY, BIKES
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest, make_film, sha256_of
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


class Track(NamedTuple):
    """What a player is given: the times of the pictures, and the packets of the sound with theirs."""

    pictures: list[float]
    sound: list[tuple[float, bytes]]


def read_tracks(path: Path) -> Track:
    """The times in seconds, rounded to a microsecond."""
    pictures: list[float] = []
    sound: list[tuple[float, bytes]] = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size == 0 or packet.pts is None:
                continue
            seconds = round(float(packet.pts * packet.time_base), 6)
            if packet.stream.type == "video":
                pictures.append(seconds)
            elif packet.stream.type == "audio":
                sound.append((seconds, bytes(packet)))
    return Track(sorted(pictures), sound)


def put(farm: FarmUnderTest, film: Path) -> str:
    """The film as an input of the farm."""
    (farm.media / film.name).write_bytes(film.read_bytes())
    return film.name


async def chunks_of(farm: FarmUnderTest, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs that are its chunks."""
    return (await farm.get(f"/jobs?parent={job['id']}"))["jobs"]


async def test_a_film_in_chunks_is_the_film_in_one(farm: FarmUnderTest, film: Path) -> None:
    """Frame for frame at the same times, and the sound byte for byte."""
    name = put(farm, film)
    whole = await farm.ended(await farm.submit(input=name, output="whole.mp4"))
    cut = await farm.ended(await farm.submit(input=name, output="cut.mp4", chunk="3s"))

    assert ("completed", "completed") == (whole["status"], cut["status"]), cut["error"]
    chunks = await chunks_of(farm, cut)
    assert (4, 0, 4) == (cut["chunks"], cut["chunks_left"], len(chunks))
    assert whole["result"]["frames"] == cut["result"]["frames"] == sum(one["result"]["frames"] for one in chunks)
    expected, found = read_tracks(farm.media / "whole.mp4"), read_tracks(farm.media / "cut.mp4")
    assert expected.pictures == found.pictures
    assert expected.sound == found.sound
    encoding = sum(one["result"]["encode_seconds"] for one in chunks)
    assert cut["result"]["encode_seconds"] > encoding


async def test_a_join_tells_what_all_its_chunks_used_and_itself(
    make_farm: FarmMaker, film: Path, tmp_path: Path
) -> None:
    """By the model of the node; each chunk has its part, and CPU seconds are added up in the same way."""
    farm = make_farm()
    meter = Meter(Prices(per_kwh=0.3), 5.0, rapl=Rapl(tmp_path / "no counters"))
    farm.worker = farm.new_worker(make_attempt=partial(Attempt, meter=meter))
    await farm.start_master()
    await farm.worker.start()
    job = await farm.ended(await farm.submit(input=put(farm, film), output="cut.mp4", chunk="3s"))
    parts = [chunk["result"]["energy_joules"] for chunk in await chunks_of(farm, job)]
    assert len(parts) > 1
    result = job["result"]
    assert sum(parts) < result["energy_joules"]
    assert ("model", pytest.approx(5 * result["cpu_seconds"], abs=0.1)) == (
        result["energy_source"],
        result["energy_joules"],
    )
    assert pytest.approx(0.3 * result["energy_joules"] / 3_600_000, rel=0.01) == result["cost"]


async def test_the_chunks_are_removed_when_nobody_needs_them(farm: FarmUnderTest, film: Path) -> None:
    """By the masters' cleaner, once their job is complete."""
    job = await farm.ended(await farm.submit(input=put(farm, film), output="cut.mp4", chunk=5))
    assert 1 == await AttemptCleaner(farm.master.farm).run_once()
    assert ["cut.mp4", film.name] == farm.outputs()
    assert "completed" == job["status"]


@pytest.mark.parametrize(("suffix", "chunk"), [("mp4", "1m"), ("ts", "2s")])
async def test_what_cannot_be_cut_is_encoded_in_one(
    farm: FarmUnderTest, tmp_path: Path, suffix: str, chunk: str
) -> None:
    """As what is no longer than a chunk, and a container without an index."""
    film = make_film(tmp_path / f"film.{suffix}", farm.inventory, BIG_BUCK_BUNNY, 1)
    job = await farm.ended(await farm.submit(input=put(farm, film), chunk=chunk))
    assert ("completed", 0) == (job["status"], job["chunks"])


@pytest.mark.parametrize("over_http", [False, True])
async def test_a_lost_chunk_lets_all_be_encoded_again(
    make_farm: FarmMaker, film: Path, tmp_path: Path, *, over_http: bool
) -> None:
    """The job is split anew, and completes."""
    farm = make_farm(retry_base_seconds=0)
    await farm.start_master()
    worker = farm.new_worker(name="far", depot=HttpDepot(farm.bus, tmp_path, 10**9)) if over_http else farm.worker
    await worker.start()
    job = await farm.submit(input=put(farm, film), output="cut.mp4", chunk="5s")
    folder = farm.media / ".reelmill" / "chunks" / f"{job['id']}-1"

    async def is_there() -> bool:
        return (folder / "0.mp4").exists()

    await wait_until(is_there, bool, seconds=60)
    (folder / "0.mp4").unlink()

    done = await farm.ended(job)
    await worker.stop()
    assert ("completed", 3) == (done["status"], done["attempt"] - 1), done["error"]
    assert 4 == len(await chunks_of(farm, job))


async def test_chunks_go_over_http_too(make_farm: FarmMaker, film: Path, tmp_path: Path) -> None:
    """A worker without the media folder encodes pieces, and joins pieces that others encoded."""
    farm = make_farm()
    await farm.start_master()
    far = farm.new_worker(name="far", depot=HttpDepot(farm.bus, tmp_path / "far", 10**9))
    try:
        await far.start()
        done = await farm.ended(await farm.submit(input=put(farm, film), output="cut.mp4", chunk="5s"))
        assert ("completed", 2) == (done["status"], done["chunks"]), done["error"]
        assert done["result"]["sha256"] == sha256_of(farm.media / "cut.mp4")
    finally:
        await far.stop()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"chunk": "60s"}, "needs an input"),
        ({"chunk": 0.5, "input": "film.mp4"}, "out of range"),
        ({"chunk": "soon", "input": "film.mp4"}, "not a duration"),
    ],
)
async def test_what_cannot_be_cut_is_refused(farm: FarmUnderTest, parameters: dict[str, Any], said: str) -> None:
    """With 422, by the name of the field."""
    answer = await farm.http.post("/jobs", json={"scenario": "480p30-h264", "parameters": parameters})
    problem = answer.json()
    assert (422, "parameters.chunk") == (answer.status_code, problem["field"])
    assert said in problem["detail"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "scenario", "options", "asked"),
    [
        ("mp4", "480p60-h264", [], {}),
        ("mkv", "480p30-h264", ["-r", "24000/1001"], {"output": "cut.mkv"}),
        ("mp4", "480p30-h265", ["-r", "60", "-bf", "3", "-x264-params", "open-gop=1"], {}),
        ("mp4", "480p30-av1", [], {}),
        ("mp4", "480p30-h264", ["-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr"], {}),
        ("mp4", "480p30-h264", [], {"duration": 9.51}),
    ],
)
async def test_frames_are_exact_whatever_the_rates(
    farm: FarmUnderTest, tmp_path: Path, suffix: str, scenario: str, options: list[str], asked: dict[str, Any]
) -> None:
    """Doubled, dropped, fractional and uneven ones, open groups of pictures, and an output that ends early."""
    film = make_film(tmp_path / f"film.{suffix}", farm.inventory, BIG_BUCK_BUNNY, 3, *options)
    name = put(farm, film)
    out = Path(asked.pop("output", "cut.mp4")).suffix
    jobs = [
        await farm.submit(scenario, input=name, output=f"whole{out}", **asked),
        await farm.submit(scenario, input=name, output=f"cut{out}", chunk="3s", **asked),
    ]
    whole, cut = [await farm.ended(job) for job in jobs]
    assert ("completed", "completed") == (whole["status"], cut["status"]), cut["error"]
    assert cut["chunks"] >= 3
    expected, found = read_tracks(farm.media / f"whole{out}"), read_tracks(farm.media / f"cut{out}")
    assert expected.pictures == found.pictures
    assert [time for time, _ in expected.sound] == [time for time, _ in found.sound]


@pytest.mark.slow
async def test_a_limit_behind_the_end_of_the_picture_cuts_only_the_sound(farm: FarmUnderTest, tmp_path: Path) -> None:
    """The last piece ends with the picture, and nobody waits for frames that are in no input."""
    film = tmp_path / "film.mp4"
    command = [
        *(str(farm.inventory.ffmpeg.path), "-v", "error", "-t", "3.5", "-i", str(BIG_BUCK_BUNNY), "-i"),
        *(str(BIG_BUCK_BUNNY), "-map", "0:v", "-map", "1:a", "-s", "320x180", "-c:v", "libx264", "-g", "25", str(film)),
    ]
    await asyncio.to_thread(subprocess.run, command, check=True)
    name = put(farm, film)
    whole = await farm.ended(await farm.submit(input=name, output="whole.mp4", duration=4.5))
    cut = await farm.ended(await farm.submit(input=name, output="cut.mp4", duration=4.5, chunk="1s"))
    assert ("completed", "completed") == (whole["status"], cut["status"]), (whole["error"], cut["error"])
    assert 1 < cut["chunks"]
    assert read_tracks(farm.media / "whole.mp4") == read_tracks(farm.media / "cut.mp4")


async def test_a_picture_that_begins_behind_the_sound_stays_there(farm: FarmUnderTest, tmp_path: Path) -> None:
    """The first frame has its time, and so have all others."""
    film = tmp_path / "late.mp4"
    command = [
        *(str(farm.inventory.ffmpeg.path), "-v", "error", "-itsoffset", "0.75", "-i", str(BIKES)),
        *("-i", str(BIG_BUCK_BUNNY), "-map", "0:v", "-map", "1:a", "-s", "320x136"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-ac", "2", str(film)),
    ]
    await asyncio.to_thread(subprocess.run, command, check=True)
    name = put(farm, film)
    whole = await farm.ended(await farm.submit(input=name, output="whole.mp4"))
    cut = await farm.ended(await farm.submit(input=name, output="cut.mp4", chunk="3s"))
    assert ("completed", "completed") == (whole["status"], cut["status"]), cut["error"]
    assert read_tracks(farm.media / "whole.mp4").pictures == read_tracks(farm.media / "cut.mp4").pictures


@pytest.mark.slow
async def test_chunks_look_as_good_as_the_whole(farm: FarmUnderTest, tmp_path: Path) -> None:
    """Rate control begins anew in each, which costs less than half a point of VMAF; the job tells that of the whole."""
    name = put(farm, make_film(tmp_path / "film.mp4", farm.inventory, BIG_BUCK_BUNNY, 4))
    measured: dict[str, Any] = {"input": name, "quality": "vmaf", "quality_sample": 10}
    whole = await farm.ended(await farm.submit(output="whole.mp4", **measured))
    cut = await farm.ended(await farm.submit(output="cut.mp4", chunk="10s", **measured))
    assert 2 == cut["chunks"]
    expected, found = (job["result"]["quality"] for job in (whole, cut))
    assert expected["frames"] == found["frames"] == -(-cut["result"]["frames"] // 10)
    assert abs(expected["mean"] - found["mean"]) < 0.5
