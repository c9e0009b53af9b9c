"""A worker that has no media folder: inputs and outputs go over HTTP, and end as if it had one."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import struct
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from reelmill.domain.attempt import AttemptKey
from reelmill.errors import StartupError, Unavailable
from reelmill.master import media_desk
from reelmill.master.attempt_cleaner import AttemptCleaner
from reelmill.media import upload
from reelmill.media.durable import hash_and_sync
from reelmill.media.publish import attempt_output, create_attempt, explain_error
from reelmill.worker import http_depot
from reelmill.worker.http_depot import HttpDepot
from tests.cut_line import CutLine
from tests.integration.farm.conftest import (
    FarmMaker,
    FarmUnderTest,
    claim_as_dead_worker,
    settle_as_dead_worker,
    sha256_of,
)
from tests.waiting import wait_until

MEGA = 1 << 20


@pytest.fixture
async def line() -> AsyncGenerator[CutLine, None]:
    """Between the worker and the master."""
    async with CutLine() as line:
        yield line


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The worker's folder."""
    return tmp_path / "far" / "worker"


@pytest.fixture
async def farm(make_farm: FarmMaker, line: CutLine, far: Path) -> FarmUnderTest:
    """A farm whose only worker has a folder of its own and a line that can be cut; the worker is not started."""
    farm = make_farm(public_url=line.url, retry_base_seconds=0, max_failures=1)
    await farm.start_master()
    line.target = farm.master.url
    farm.worker = farm.new_worker(depot=HttpDepot(farm.bus, far, 10**9, patience=0.2))
    return farm


@pytest.fixture
def large(clip: Path, tmp_path: Path) -> Path:
    """The clip with six megabytes behind it that no player looks at."""
    path = tmp_path / "large.mp4"
    path.write_bytes(clip.read_bytes() + struct.pack(">I4s", 6 * MEGA + 8, b"free") + os.urandom(6 * MEGA))
    return path


def left(far: Path) -> list[str]:
    """The files of the worker's attempts."""
    return sorted(str(path.relative_to(far)) for path in (far / ".reelmill").rglob("*") if path.is_file())


def kept(far: Path) -> list[str]:
    """The hashes of the inputs that the worker keeps."""
    return sorted(sha256_of(path) for path in (far / "inputs").iterdir())


async def run(farm: FarmUnderTest, **parameters: Any) -> dict[str, Any]:
    """A job, from the start of the worker to its end."""
    await farm.worker.start()
    return await farm.ended(await farm.submit(duration=1, **parameters))


async def test_jobs_with_and_without_an_input_end_with_their_outputs_in_place(
    farm: FarmUnderTest, far: Path, clip: Path
) -> None:
    """What lies under the masters' folder is what the store says, byte for byte; nothing else is left anywhere."""
    shutil.copy(clip, farm.media / "in put+ü.mp4")
    await farm.worker.start()
    jobs = [await farm.submit(duration=1, output="synthetic.mp4")]
    jobs += [await farm.submit(input="in put+ü.mp4", output=f"out/{number}.mp4") for number in range(3)]
    for job in jobs:
        done = await farm.ended(job)
        assert "completed" == done["status"], done
        output = farm.media / done["result"]["output"]
        assert (sha256_of(output), output.stat().st_size) == (done["result"]["sha256"], done["result"]["size_bytes"])
    assert ([], [sha256_of(clip)]) == (left(far), kept(far))
    assert [] == farm.attempt_folders()


async def test_an_input_goes_on_where_its_line_broke(
    farm: FarmUnderTest, line: CutLine, far: Path, large: Path
) -> None:
    """Twice in the middle; not much comes a second time."""
    shutil.copy(large, farm.media / "in.mp4")
    line.cuts = [("down", 3 * MEGA), ("down", 2 * MEGA)]
    done = await run(farm, input="in.mp4")
    assert ("completed", [], [sha256_of(large)]) == (done["status"], line.cuts, kept(far))
    assert line.passed["down"] < 9 * MEGA


async def test_jobs_that_want_one_input_at_a_time_share_its_download(
    farm: FarmUnderTest, line: CutLine, large: Path
) -> None:
    """And so does a later one."""
    shutil.copy(large, farm.media / "in.mp4")
    await farm.worker.start()
    for job in [await farm.submit(input="in.mp4", duration=1) for _ in range(3)]:
        assert "completed" == (await farm.ended(job))["status"]
    assert line.passed["down"] < 7 * MEGA


async def test_an_output_goes_on_where_its_line_broke(farm: FarmUnderTest, line: CutLine) -> None:
    """And is published whole, at the first attempt."""
    await farm.worker.start()
    job = await farm.running(await farm.submit(duration=2))
    line.cuts = [("up", 30_000), ("up", 20_000)]
    done = await farm.ended(job)
    assert ("completed", 1, []) == (done["status"], done["attempt"], line.cuts)
    assert done["result"]["sha256"] == sha256_of(farm.media / done["result"]["output"])
    assert line.passed["up"] < done["result"]["size_bytes"] + 60_000


async def test_a_link_that_expires_is_replaced(farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones given are too old already; the job does not notice."""
    given: list[float] = []
    real = media_desk.attempt_link

    def late_once(secret: bytes, key: Any, expires: int) -> str:
        given.append(expires)
        return real(secret, key, expires - 10_000 if len(given) == 1 else expires)

    monkeypatch.setattr(media_desk, "attempt_link", late_once)
    done = await run(farm)
    assert ("completed", 1, 2) == (done["status"], done["attempt"], len(given))


async def test_what_a_master_finds_wrong_has_the_names_it_has_with_a_shared_folder(
    farm: FarmUnderTest, far: Path
) -> None:
    """An input that is gone, one that is a folder, a place that is taken."""
    (farm.media / "taken.mp4").write_bytes(b"there")
    (farm.media / "in.mp4").write_bytes(b"x")
    jobs = [await farm.submit(output="taken.mp4", duration=1), await farm.submit(input="in.mp4", duration=1)]
    (farm.media / "in.mp4").unlink()
    await farm.worker.start()
    seen = [await farm.ended(job) for job in jobs]
    assert [("user_error", "output_exists"), ("input_error", "input_missing")] == [
        (job["failure_reason"], job["error_code"]) for job in seen
    ]
    assert b"there" == (farm.media / "taken.mp4").read_bytes()
    assert [] == left(far)


async def test_a_full_disk_of_the_master_is_named(farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As no space, which may pass."""

    def full(*_: object) -> None:
        raise explain_error(OSError(errno.ENOSPC, "No space left on device"), "the output")

    monkeypatch.setattr(media_desk, "write_piece", full)
    done = await run(farm)
    assert ("resource_error", "no_space") == (done["failure_reason"], done["error_code"])


async def test_a_full_disk_of_the_worker_is_named(
    farm: FarmUnderTest, clip: Path, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be kept of the input is removed."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shutil.copy(clip, farm.media / "in.mp4")
    monkeypatch.setattr(http_depot, "hash_and_sync", full)
    done = await run(farm, input="in.mp4")
    assert ("resource_error", "no_space") == (done["failure_reason"], done["error_code"])
    assert ([], []) == (left(far), kept(far))


async def test_an_output_that_arrives_damaged_is_sent_again(
    farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it costs only time."""
    real, damages = upload.write_piece, iter([b"?"])

    def damage(root: Path, key: Any, offset: int, piece: bytes) -> None:
        real(root, key, offset, next(damages, piece[:1]) + piece[1:])

    monkeypatch.setattr(media_desk, "write_piece", damage)
    done = await run(farm)
    assert ("completed", 1) == (done["status"], done["attempt"])
    assert done["result"]["sha256"] == sha256_of(farm.media / done["result"]["output"])


async def test_an_output_that_always_arrives_damaged_fails_the_attempt(
    farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing wrong is ever published."""
    real = upload.write_piece

    def damage(root: Path, key: Any, offset: int, piece: bytes) -> None:
        real(root, key, offset, b"?" + piece[1:])

    monkeypatch.setattr(media_desk, "write_piece", damage)
    done = await run(farm)
    assert ("failed", "output_corrupted", []) == (done["status"], done["error_code"], farm.outputs())


async def test_an_impatient_worker_has_its_output_read_once(
    farm: FarmUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both its questions get the one answer."""
    reads: list[object] = []
    may_end = threading.Event()

    def slowly(*asked: object) -> None:
        reads.append(asked)
        assert may_end.wait(30)

    monkeypatch.setattr(media_desk, "complete", slowly)
    desk = media_desk.MediaDesk(farm.master.farm, lambda: "")
    said = upload.WholeOutput(container="mp4", size=1, sha256="ab" * 32)
    asked = [asyncio.create_task(desk.complete(AttemptKey("job", 1), said)) for _ in range(3)]
    await wait_until(lambda: asyncio.sleep(0, reads), bool)
    asked[0].cancel()
    may_end.set()
    assert [True, False, False] == [
        isinstance(answer, BaseException) for answer in await asyncio.gather(*asked, return_exceptions=True)
    ]
    assert 1 == len(reads)


async def test_an_input_that_always_arrives_damaged_fails_the_attempt(
    farm: FarmUnderTest, clip: Path, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No engine sees it, and it is not kept."""
    shutil.copy(clip, farm.media / "in.mp4")

    def another(part: Path) -> tuple[str, int]:
        return "0" * 64, part.stat().st_size

    monkeypatch.setattr(http_depot, "hash_and_sync", another)
    done = await run(farm, input="in.mp4")
    assert ("failed", "input_corrupted", []) == (done["status"], done["error_code"], kept(far))


async def test_an_input_that_changes_while_it_is_fetched_is_fetched_anew(
    farm: FarmUnderTest, line: CutLine, clip: Path, large: Path, far: Path
) -> None:
    """What the engine gets is one version of it, never half of each."""
    shutil.copy(large, farm.media / "in.mp4")
    line.cuts = [("down", 3 * MEGA)]
    await farm.worker.start()
    job = await farm.submit(input="in.mp4", duration=1)
    await wait_until(lambda: asyncio.sleep(0, list(line.cuts)), lambda cuts: not cuts)
    shutil.copy(clip, farm.media / "new.mp4")
    (farm.media / "new.mp4").replace(farm.media / "in.mp4")
    done = await farm.ended(job)
    assert "completed" == done["status"], done
    assert sha256_of(clip) in kept(far)
    assert all(one in (sha256_of(clip), sha256_of(large)) for one in kept(far))


async def test_a_master_that_cannot_be_reached_over_http_is_named(make_farm: FarmMaker, far: Path) -> None:
    """Its bus answers, so the attempt would keep its lease for ever: the sentence says what to set."""
    farm = make_farm(public_url="http://127.0.0.1:1", max_failures=1)
    await farm.start_master()
    farm.worker = farm.new_worker(depot=HttpDepot(farm.bus, far, 0, patience=0.2))
    done = await run(farm)
    assert ("network_error", "media_unreachable") == (done["failure_reason"], done["error_code"])
    assert "http://127.0.0.1:1" in done["error"]
    assert "public-url" in done["error"]


async def test_a_cancel_in_the_middle_of_a_transfer_ends_it(
    farm: FarmUnderTest, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left at the worker at once, and nothing at the master behind the next sweep."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def never(*_: object) -> None:
        loop.call_soon_threadsafe(arrived.set)
        raise Unavailable("later")

    monkeypatch.setattr(media_desk, "write_piece", never)
    await farm.worker.start()
    job = await farm.submit(duration=1)
    await asyncio.wait_for(arrived.wait(), 60)
    (await farm.http.post(f"/jobs/{job['id']}/cancel")).raise_for_status()
    await wait_until(lambda: asyncio.sleep(0, farm.worker.running_jobs), lambda count: count == 0)
    assert ("canceled", []) == ((await farm.job(job))["status"], left(far))
    assert 1 == await AttemptCleaner(farm.master.farm).run_once()
    assert [] == farm.attempt_folders()


async def test_what_a_lost_worker_had_settled_is_published_by_another(farm: FarmUnderTest, clip: Path) -> None:
    """Its output is with the master since before it was settled: nothing is encoded again."""
    job = await farm.submit(duration=1)
    key = await claim_as_dead_worker(farm)
    output = attempt_output(create_attempt(farm.media, key), "mp4")
    shutil.copy(clip, output)
    sha256, size = hash_and_sync(output)
    await settle_as_dead_worker(farm, key, job["parameters"]["output"], sha256, size)
    await farm.store.write(lambda tx: tx.exec_driver_sql("UPDATE jobs SET lease_until = 0"))
    await farm.worker.start()
    done = await farm.ended(job)
    assert ("completed", 1, sha256) == (done["status"], done["attempt"], done["result"]["sha256"])
    assert clip.read_bytes() == (farm.media / done["result"]["output"]).read_bytes()
    assert [] == farm.attempt_folders()


async def test_two_workers_do_not_share_a_folder(farm: FarmUnderTest, far: Path) -> None:
    """Each would remove the other's files."""
    await farm.worker.start()
    second = HttpDepot(farm.bus, far, 0)
    with pytest.raises(StartupError, match="--data of its own"):
        await second.open("other")
    await second.close()
