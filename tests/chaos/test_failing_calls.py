"""A farm whose system calls fail at the worst moment: fsync of the database, and death at the very rename."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest

from reelmill.media.folder_output import is_sealed
from reelmill.store.sqlite import SqliteStore
from tests.chaos.aftermath import read_aftermath
from tests.chaos.injection import injected
from tests.chaos.mortal import MortalFarm
from tests.e2e.conftest import Commands

pytestmark = pytest.mark.slow


def start_farm(commands: Commands) -> MortalFarm:
    farm = MortalFarm(commands, "mill", REELMILL_RETRY_BASE_SECONDS="0.1", REELMILL_MAX_CRASHES="10")
    farm.start()
    return farm.up()


def test_a_failed_sync_ends_the_farm_and_the_next_start_has_all_that_was_accepted(commands: Commands) -> None:
    """P1: the commit is refused, nothing is tried again on a file that nobody knows any more, and nothing is lost."""
    farm = start_farm(commands)
    accepted = farm.submit(20)
    key = {"Idempotency-Key": "one"}
    body = {"scenario": "480p30-h264", "parameters": {"duration": 0.2}}
    with injected(farm.process.pid, commands.folder, "fsync,fdatasync", "error=EIO"):
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


@pytest.mark.parametrize(
    ("scenario", "output", "calls", "named"),
    [
        ("480p30-h264", "outputs/film.mp4", "link,linkat", "outputs/film.mp4"),
        ("ladder-hls", "outputs/film", "mkdir,mkdirat", "outputs"),
    ],
)
def test_a_farm_that_dies_between_settling_and_publishing_encodes_nothing_again(
    commands: Commands, scenario: str, output: str, calls: str, named: str
) -> None:
    """P3: killed at the rename itself; the next start finds the verified output and puts it into its place.

    Of a ladder, whose engine renames too, one step before: when the folder above its own is made.
    """
    farm = start_farm(commands)
    target = commands.media / output
    at = commands.media / named
    with injected(farm.process.pid, commands.folder, calls, "error=EIO:signal=KILL", path=at):
        [job_id] = farm.submit(scenario=scenario, output=output)
        farm.bury()
    assert [] == list((commands.media / "outputs").glob("*"))

    farm.start()
    job = farm.up().ended(job_id)
    assert ("completed", 1, 0) == (job["status"], job["attempt"], job["crashes"])
    if target.is_dir():
        assert is_sealed(target, job["result"]["sha256"], read_all=True)
    assert 1 == sum(step["reason"] == "engine started" for step in farm.history(job_id))
    farm.stop()
    after = asyncio.run(read_aftermath(SqliteStore(farm.database), commands.media))
    assert [] == after.violations([job_id])
