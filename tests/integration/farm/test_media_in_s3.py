"""Media in a real object store that checks signatures: what workers may do there, and what broken lines cost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx2
import obstore
import pytest
from obstore.store import S3Store

from reelmill.bus.words import LINKS, LinksWanted
from reelmill.domain.attempt import AttemptKey, MediaLinks
from reelmill.domain.container import CONTAINERS, Container
from reelmill.domain.media_path import CHUNKS_FOLDER
from reelmill.errors import StartupError
from reelmill.master.attempt_cleaner import AttemptCleaner
from reelmill.media.object_place import ObjectPlace
from reelmill.media.publish import attempt_output
from reelmill.worker import store_exchange
from reelmill.worker.http_depot import HttpDepot
from tests.cut_line import CutLine
from tests.integration.farm.conftest import FarmMaker, FarmUnderTest, claim_as, settle_as_dead_worker
from tests.nats_server import free_port
from tests.object_store import BUCKET, CREDENTIALS, ObjectStore

MEGA = 1 << 20


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a master has them in its environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def line(s3: ObjectStore) -> AsyncGenerator[CutLine, None]:
    """Between everybody and the store."""
    async with CutLine() as line:
        line.target = s3.endpoint
        yield line


@pytest.fixture
def objects(s3: ObjectStore, tmp_path: Path) -> S3Store:
    """The media, as nobody but the test sees them."""
    return s3.client(tmp_path.name)


@pytest.fixture
async def farm(make_farm: FarmMaker, line: CutLine, tmp_path: Path) -> FarmUnderTest:
    """A farm whose media are behind that line; its worker is not started."""
    place = ObjectPlace(f"s3://{BUCKET}/{tmp_path.name}", line.url)
    await place.open()
    farm = make_farm(objects=place, retry_base_seconds=0, max_failures=1)
    await farm.start_master()
    farm.worker = farm.new_worker(depot=HttpDepot(farm.bus, tmp_path / "far", 10**9, patience=0.2))
    return farm


@pytest.fixture
def large(clip: Path) -> bytes:
    """The clip with six megabytes behind it that no player looks at."""
    return clip.read_bytes() + struct.pack(">I4s", 6 * MEGA + 8, b"free") + os.urandom(6 * MEGA)


def names(objects: S3Store) -> list[str]:
    return sorted(one["path"] for some in obstore.list(objects) for one in some)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=lambda one: one.name)
async def test_an_output_in_the_store_says_what_kind_of_file_it_is(
    container: Container, s3: ObjectStore, tmp_path: Path
) -> None:
    """Each container that the farm makes, as whoever reads the object is told."""
    place, key = ObjectPlace(f"s3://{BUCKET}/{tmp_path.name}", s3.endpoint), AttemptKey("job", 1)
    output = attempt_output(tmp_path, container.muxer)
    output.write_bytes(b"film")
    links = MediaLinks(key, None, "", 60, output=await place.write_link(key, 60))
    async with httpx2.AsyncClient(trust_env=False) as http:
        await store_exchange.put_output(http, links, output, 4, await store_exchange.md5_of(output, 4))
        answer = await http.get(await place.read_link(".reelmill/attempts/job.1/output", 60))
    assert container.media_type == answer.headers["Content-Type"]


def digest(objects: S3Store, name: str) -> str:
    return hashlib.sha256(bytes(obstore.get(objects, name).bytes())).hexdigest()


async def links_of(farm: FarmUnderTest, key: AttemptKey) -> MediaLinks:
    answer = await LINKS.ask(farm.bus, LinksWanted("n1", key), 5)
    assert answer is not None
    return answer[0]


async def run(farm: FarmUnderTest, **parameters: Any) -> dict[str, Any]:
    """A job, from the start of the worker to its end."""
    await farm.worker.start()
    return await farm.ended(await farm.submit(duration=1, **parameters))


async def test_jobs_end_with_their_outputs_in_the_store(farm: FarmUnderTest, objects: S3Store, clip: Path) -> None:
    """Each has the hash that the job says, and nothing else is left there."""
    obstore.put(objects, "in.mp4", clip.read_bytes())
    await farm.worker.start()
    jobs = [await farm.submit(input="in.mp4", output=f"out/{number}.mp4") for number in range(2)]
    for job in [*jobs, await farm.submit(duration=1, output="synthetic.mp4")]:
        done = await farm.ended(job)
        assert "completed" == done["status"], done
        assert done["result"]["sha256"] == digest(objects, done["result"]["output"])
    assert ["in.mp4", "out/0.mp4", "out/1.mp4", "synthetic.mp4"] == names(objects)


async def test_a_film_in_chunks_is_joined_from_the_store(farm: FarmUnderTest, objects: S3Store, film: Path) -> None:
    """Its pieces wait there as objects of their own, and go when the film is complete."""
    obstore.put(objects, "film.mp4", film.read_bytes())
    await farm.worker.start()
    whole = await farm.ended(await farm.submit(input="film.mp4", output="whole.mp4"))
    cut = await farm.ended(await farm.submit(input="film.mp4", output="cut.mp4", chunk="3s"))
    assert ("completed", 4) == (cut["status"], cut["chunks"]), cut["error"]
    assert whole["result"]["frames"] == cut["result"]["frames"]
    assert cut["result"]["sha256"] == digest(objects, "cut.mp4")
    assert 4 == len([name for name in names(objects) if name.startswith(CHUNKS_FOLDER)])
    await AttemptCleaner(farm.master.farm).run_once()
    assert ["cut.mp4", "film.mp4", "whole.mp4"] == names(objects)


async def test_a_ladder_is_refused_when_it_is_submitted(farm: FarmUnderTest) -> None:
    """P9: its output is a folder, which appears in one step; a store of objects has no such step."""
    answer = await farm.http.post("/jobs", json={"scenario": "ladder-hls", "parameters": {"duration": 1}})
    assert (422, "scenario") == (answer.status_code, answer.json()["field"])


async def test_an_input_goes_on_where_its_line_broke(
    farm: FarmUnderTest, objects: S3Store, line: CutLine, large: bytes
) -> None:
    """Not much comes a second time."""
    obstore.put(objects, "in.mp4", large)
    line.cuts = [("down", 3 * MEGA), ("down", 2 * MEGA)]
    done = await run(farm, input="in.mp4")
    assert ("completed", 1, []) == (done["status"], done["attempt"], line.cuts)
    assert line.passed["down"] < 9 * MEGA


async def test_an_output_whose_line_broke_is_put_again(farm: FarmUnderTest, objects: S3Store, line: CutLine) -> None:
    """At the first attempt, and nothing is seen of the half that had arrived."""
    await farm.worker.start()
    job = await farm.running(await farm.submit(duration=2, output="a.mp4"))
    line.cuts = [("up", 30_000)]
    done = await farm.ended(job)
    assert ("completed", 1, []) == (done["status"], done["attempt"], line.cuts)
    assert (done["result"]["sha256"], ["a.mp4"]) == (digest(objects, "a.mp4"), names(objects))


async def test_an_output_that_arrives_damaged_is_refused_by_the_store_and_sent_again(
    farm: FarmUnderTest, objects: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store compares what it gets with the MD5 that comes with it."""
    real: Callable[[Path], AsyncGenerator[bytes, None]] = store_exchange.pieces
    sent: list[str] = []

    async def damaged_once(output: Path) -> AsyncGenerator[bytes, None]:
        sent.append(output.name)
        async for piece in real(output):
            yield piece[:-1] + bytes([piece[-1] ^ 1]) if len(sent) == 1 else piece

    monkeypatch.setattr(store_exchange, "pieces", damaged_once)
    done = await run(farm, output="a.mp4")
    assert ("completed", 1, 2) == (done["status"], done["attempt"], len(sent))
    assert done["result"]["sha256"] == digest(objects, "a.mp4")


async def test_an_input_that_is_gone_or_empty_is_named(farm: FarmUnderTest, objects: S3Store) -> None:
    """At once, and the job is not tried again."""
    obstore.put(objects, "empty.mp4", b"")
    done = await run(farm, input="missing.mp4")
    assert ("failed", "input_missing", 1) == (done["status"], done["error_code"], done["attempt"])
    done = await run(farm, input="empty.mp4")
    assert ("failed", "input_not_media", 1) == (done["status"], done["error_code"], done["attempt"])


async def test_a_link_is_good_for_one_deed_and_one_object(farm: FarmUnderTest, objects: S3Store) -> None:
    """A worker can neither read another object, nor write over one, nor list."""
    obstore.put(objects, "in.mp4", b"mine")
    obstore.put(objects, "secret.mp4", b"not for this job")
    await farm.submit(input="in.mp4", output="a.mp4")
    links = await links_of(farm, (await claim_as(farm, "n1")).key)
    assert links.input is not None
    assert links.output is not None
    async with httpx2.AsyncClient() as http:
        assert b"mine" == (await http.get(links.input)).content
        tried = [
            await http.get(links.input.replace("in.mp4", "secret.mp4")),
            await http.put(links.input, content=b"changed"),
            await http.put(links.output.replace("/output?", "/../../../../in.mp4?"), content=b"changed"),
            await http.get(links.output),
            await http.delete(links.input),
            await http.get(links.input.partition("?")[0]),
        ]
    assert [403] * 6 == [answer.status_code for answer in tried]
    assert hashlib.sha256(b"mine").hexdigest() == digest(objects, "in.mp4")


async def test_what_comes_behind_the_publishing_changes_nothing_and_is_removed(
    farm: FarmUnderTest, objects: S3Store
) -> None:
    """A link that is still good fills the attempt's object, never the output."""
    await farm.submit(output="a.mp4")
    key = (await claim_as(farm, "n1")).key
    links = await links_of(farm, key)
    assert links.output is not None
    async with httpx2.AsyncClient() as http:
        assert (await http.put(links.output, content=b"film")).is_success
        await settle_as_dead_worker(farm, key, "a.mp4", hashlib.sha256(b"film").hexdigest(), 4, "n1")
        path, _, query = links.attempt.partition("?")
        assert 204 == (await http.post(f"{path}/publish?{query}")).status_code
        assert (await http.put(links.output, content=b"late")).is_success
        await farm.store.write(lambda tx: tx.exec_driver_sql("UPDATE jobs SET lease_until = 0"))
    assert hashlib.sha256(b"film").hexdigest() == digest(objects, "a.mp4")
    await farm.worker.start()  # it has the job completed
    await farm.ended({"id": key.job_id})
    await AttemptCleaner(farm.master.farm).run_once()
    assert ["a.mp4"] == names(objects)


async def test_the_check_of_places_goes_through_the_store(farm: FarmUnderTest, objects: S3Store) -> None:
    """Read and written by signed links; nothing is left."""
    await farm.worker.start()
    [place] = (await farm.http.post("/places/check")).raise_for_status().json()["places"]
    assert ("ok", "ok", None) == (place["read"], place["write"], place["trouble"])
    assert [] == names(objects)


@pytest.mark.parametrize(
    ("bucket", "secret", "said"),
    [
        (BUCKET, "wrong", "refuses the credentials"),
        ("nobody-made-this", CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "there is no such bucket"),
    ],
)
async def test_what_cannot_work_is_refused_at_the_start(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, bucket: str, secret: str, said: str
) -> None:
    """With what is wrong."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with pytest.raises(StartupError, match=said):
        await ObjectPlace(f"s3://{bucket}", s3.endpoint).open()


async def test_a_store_that_is_not_there_is_refused_at_the_start() -> None:
    """Within the time that a start may take."""
    async with asyncio.timeout(25):
        with pytest.raises(StartupError, match="cannot be reached"):
            await ObjectPlace(f"s3://{BUCKET}", f"http://127.0.0.1:{free_port()}").open()
