"""The SQLite file: durable when it says so (P1), one owner, and clear words when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from reelmill.errors import StartupError, StoreUnavailable
from reelmill.store.protocol import Tx
from reelmill.store.schema import REVISION
from reelmill.store.sqlite import SqliteStore
from tests.disks import disk_of
from tests.farmhand import Farmhand
from tests.samples import new_job, new_jobs

CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import new_job

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.start()
    farm = Farmhand(store)
    print("ready", flush=True)
    for _ in range(int(sys.argv[3])):
        [job] = await farm.submit(new_job())
        print(job.id, flush=True)
    await asyncio.sleep(60 if sys.argv[4] == "stay" else 0)
    await store.stop()

asyncio.run(main())
"""
ROOT = str(Path(__file__).resolve().parents[3])


def child_argv(path: Path, jobs: int, then: str) -> list[str]:
    return [sys.executable, "-c", CHILD, str(path), ROOT, str(jobs), then]


@contextlib.contextmanager
def child(path: Path, jobs: int) -> Generator[subprocess.Popen[str], None, None]:
    """A process that owns the store, submits so many jobs, one commit each, and prints an id after each answer."""
    process = subprocess.Popen(child_argv(path, jobs, "stay"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path / "farm.db")
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("kill_after", [1, 7, 40])
async def test_an_accepted_job_survives_a_kill_right_after_the_answer(tmp_path: Path, kill_after: int) -> None:
    """kill -9 the moment an id was printed: every printed job is there, and at most one that was not printed yet."""
    path = tmp_path / "farm.db"
    with child(path, 10_000) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(kill_after)]
        process.send_signal(signal.SIGKILL)
        told += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()

    store = SqliteStore(path)
    await store.start()
    kept = [job.id for job in await Farmhand(store).jobs()]
    await store.stop()

    assert told == kept[: len(told)]
    assert len(kept) - len(told) <= 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_every_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """One flush at least for each commit that was answered: a power cut loses none of them."""
    trace = tmp_path / "trace"
    argv = [
        "strace",
        "-f",
        "-e",
        "trace=fsync,fdatasync",
        "-o",
        str(trace),
        *child_argv(tmp_path / "farm.db", 25, "end"),
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    if "PTRACE" in ended.stderr or "ptrace" in ended.stderr:
        pytest.skip("strace may not trace here")
    assert ended.returncode == 0, ended.stderr

    flushes = sum("sync(" in line and "resumed" not in line for line in trace.read_text().splitlines())
    assert flushes >= 25


async def test_concurrent_writes_share_a_commit(store: SqliteStore) -> None:
    """While one commit is held up, 300 more come in: they become durable in one transaction together."""
    begins: list[str] = []
    holding, let_go = threading.Event(), threading.Event()

    def count(_connection: Any) -> None:
        begins.append(threading.current_thread().name)

    def hold(_tx: Tx) -> None:
        holding.set()
        assert let_go.wait(10)

    event.listen(Engine, "begin", count)
    try:
        first = asyncio.ensure_future(store.write(hold))
        await asyncio.to_thread(holding.wait, 10)
        farm = Farmhand(store)
        rest = [asyncio.ensure_future(farm.submit(new_job())) for _ in range(300)]
        await asyncio.sleep(0)
        let_go.set()
        await asyncio.gather(first, *rest)
    finally:
        event.remove(Engine, "begin", count)

    assert ["store-writer"] * 2 == begins
    assert 300 == len(await farm.jobs())


async def test_the_event_loop_never_waits_for_the_disk(store: SqliteStore) -> None:
    """While a commit is held up, the loop and readers go on."""
    holding, let_go = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        holding.set()
        assert let_go.wait(10)

    first = asyncio.ensure_future(store.write(hold))
    await asyncio.to_thread(holding.wait, 10)
    async with asyncio.timeout(5):
        assert [] == await Farmhand(store).jobs()
    let_go.set()
    await first


async def test_readers_cannot_write(store: SqliteStore) -> None:
    """Whatever a reading function tries."""
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.read(lambda tx: tx.execute(text("DELETE FROM jobs")) and None)


async def test_a_second_master_is_refused_with_the_firsts_process_id(tmp_path: Path) -> None:
    """One sentence: who has it, and what to do."""
    path = tmp_path / "farm.db"
    with child(path, 0) as owner:
        with pytest.raises(StartupError, match=rf"another master \(process {owner.pid}\) already uses .*--data"):
            await SqliteStore(path).start()
        assert owner.poll() is None


async def test_the_lock_vanishes_with_a_killed_owner(tmp_path: Path) -> None:
    """kill -9 leaves nothing that somebody must clean up."""
    path = tmp_path / "farm.db"
    with child(path, 3) as owner:
        assert owner.stdout is not None
        ids = [owner.stdout.readline().strip() for _ in range(3)]
        owner.kill()
        owner.wait()
    store = SqliteStore(path)
    assert REVISION == store.read_revision(), "what was not written to the file itself yet can be looked at too"
    await store.start()
    assert ids == [job.id for job in await Farmhand(store).jobs()]
    await store.stop()


async def test_a_clean_stop_leaves_the_database_and_nothing_else(tmp_path: Path) -> None:
    """No lock file, no journal."""
    store = SqliteStore(tmp_path / "farm.db")
    await store.start()
    await Farmhand(store).submit(new_job())
    assert (tmp_path / "farm.lock").exists()
    await store.stop()

    assert ["farm.db"] == sorted(path.name for path in tmp_path.iterdir())


async def test_a_store_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    """Migrating an existing file is no work at all, however often, and numbers go on."""
    path = tmp_path / "farm.db"
    numbers: list[int] = []
    for _ in range(3):
        store = SqliteStore(path)
        await store.start()
        numbers += [job.sequence_number for job in await Farmhand(store).submit(*new_jobs(2))]
        assert len(numbers) == len(await Farmhand(store).jobs())
        await store.stop()

    assert [1, 2, 3, 4, 5, 6] == numbers


@pytest.mark.parametrize("folder", ["/proc", "/proc/self/none", "/dev/null"])
async def test_a_folder_that_cannot_be_written_is_named(folder: str) -> None:
    """The sentence says which, and what to do."""
    with pytest.raises(StartupError, match=rf"cannot write to {folder}.*--data"):
        await SqliteStore(Path(folder) / "farm.db").start()


async def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    """Somebody's file is not ours to overwrite."""
    path = tmp_path / "farm.db"
    path.write_bytes(b"dear diary " * 1000)

    with pytest.raises(StartupError, match=r"farm\.db: file is not a database"):
        await SqliteStore(path).start()
    assert path.read_bytes() == b"dear diary " * 1000


async def test_another_programs_lock_on_the_database_is_a_refused_commit(store: SqliteStore, tmp_path: Path) -> None:
    """A writer from outside delays us at most by the busy timeout; then the request is refused, and later ones work."""
    other = sqlite3.connect(tmp_path / "farm.db", isolation_level=None)
    farm = Farmhand(store)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="nothing of this request was kept"):
            await farm.submit(new_job())
        other.execute("ROLLBACK")
    finally:
        other.close()

    assert 1 == len(await farm.submit(new_job()))
    assert 1 == len(await farm.jobs())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with disk_of(tmp_path / "small", "2m") as folder:
        yield folder


async def test_a_full_disk_refuses_and_loses_nothing(small_disk: Path) -> None:
    """Refused is refused, accepted is kept, and when space is free again the store goes on by itself (P1)."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    store = SqliteStore(small_disk / "farm.db")
    await store.start()
    farm = Farmhand(store)
    kept: list[str] = []
    refusal = ""
    while not refusal:
        try:
            kept += [job.id for job in await farm.submit(*new_jobs(20))]
        except StoreUnavailable as error:
            refusal = str(error)
    assert "is full: nothing of this request was kept; free some space" in refusal
    assert kept
    assert kept == [job.id for job in await farm.jobs()], "reading goes on"
    assert not store.failed.done()

    ballast.unlink()
    kept += [job.id for job in await farm.submit(new_job())]
    await store.stop()

    again = SqliteStore(small_disk / "farm.db")
    await again.start()
    assert kept == [job.id for job in await Farmhand(again).jobs()]
    await again.stop()


WRITE_FAILS = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from reelmill.errors import StoreUnavailable
from reelmill.store.sqlite import SqliteStore
from tests.farmhand import Farmhand
from tests.samples import new_jobs

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.start()
    farm = Farmhand(store)
    kept = [job.id for job in await farm.submit(*new_jobs(5))]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        for _ in range(100):
            kept += [job.id for job in await farm.submit(*new_jobs(50))]
    except StoreUnavailable as error:
        print(error)
    async with asyncio.timeout(5):
        print(await store.failed)
    print(*kept)

asyncio.run(main())
"""


async def test_a_failed_write_ends_the_master_and_loses_nothing(tmp_path: Path) -> None:
    """After an I/O error only a fresh start knows what is on disk: the store says so, and what it accepted is there."""
    path = tmp_path / "farm.db"
    argv = [sys.executable, "-c", WRITE_FAILS, str(path), ROOT]
    ended = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    refused, failed, kept = ended.stdout.splitlines()

    assert "refused a commit" in refused
    assert refused == failed
    store = SqliteStore(path)
    await store.start()
    assert kept.split() == [job.id for job in await Farmhand(store).jobs()]
    await store.stop()
