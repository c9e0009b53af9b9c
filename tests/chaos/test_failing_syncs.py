"""The disk says that it did not keep what it was given: fsync fails under a running farm."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from reelmill.store.sqlite import SqliteStore
from tests.chaos.aftermath import read_aftermath
from tests.chaos.mortal import MortalFarm
from tests.e2e.conftest import Commands, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")]


@contextlib.contextmanager
def failing_syncs(pid: int, said: Path) -> Generator[None, None, None]:
    """Each fsync and fdatasync of the process fails with EIO, and is not done."""
    calls = "fsync,fdatasync"
    argv = ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    with said.open("w") as file:
        strace = subprocess.Popen([*argv, "-o", f"{said}.calls"], stderr=file)
    try:
        wait_for(lambda: said.read_text(), lambda text: "attached" in text or strace.poll() is not None)
        if strace.poll() is not None:
            pytest.skip("strace may not trace here")
        yield
    finally:
        strace.terminate()
        strace.wait(10)


def test_a_failed_sync_ends_the_farm_and_the_next_start_has_all_that_was_accepted(commands: Commands) -> None:
    """P1: the commit is refused, nothing is tried again on a file that nobody knows any more, and nothing is lost."""
    farm = MortalFarm(commands, "mill", REELMILL_RETRY_BASE_SECONDS="0.1", REELMILL_MAX_CRASHES="10")
    farm.start()
    farm.up()
    accepted = farm.submit(20)
    key = {"Idempotency-Key": "one"}
    body = {"scenario": "480p30-h264", "parameters": {"duration": 0.2}}
    with failing_syncs(farm.process.pid, commands.folder / "strace.txt"):
        with contextlib.suppress(httpx2.TransportError):  # it may be gone before it can answer
            answer = httpx2.post(f"{farm.url}/jobs", json=body, headers=key, timeout=60)
            assert (503, "store_unavailable") == (answer.status_code, answer.json()["code"])
        assert 1 == farm.process.wait(60)
    assert "refused a commit (disk I/O error)" in commands.log.read_text()
    farm.bury()

    farm.start()
    farm.up()
    accepted.append(httpx2.post(f"{farm.url}/jobs", json=body, headers=key).raise_for_status().json()["id"])
    assert ["completed"] * 21 == farm.statuses(accepted)
    farm.stop()
    after = asyncio.run(read_aftermath(SqliteStore(farm.database), commands.media))
    assert [] == after.violations(accepted)
    assert set(accepted) == {job.id for job in after.jobs}, "asked again with its key, a refused job is there once"
