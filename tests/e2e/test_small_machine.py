"""A farm on a machine that has too little of everything: it says so, and goes on with what it can."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.disks import disk_of, fill
from tests.e2e.conftest import Commands, wait_for

MEMORY = 512 * 1024**2


def _on_a_small_machine() -> list[str]:
    """What makes a command run with 50 files and 512 MB for each process, and no right to raise either."""
    setpriv, prlimit = shutil.which("setpriv"), shutil.which("prlimit")
    if setpriv is None or prlimit is None:
        pytest.skip("util-linux is not there to set limits")
    unprivileged = [setpriv, "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "--"]
    return [*unprivileged, prlimit, "--nofile=50", f"--data={MEMORY}", "--"]


def test_few_files_little_memory_and_a_full_temporary_folder(commands: Commands, tmp_path: Path) -> None:
    """The farm uses fewer units, says why in words, and completes every job at its first try; no traceback."""
    with disk_of(tmp_path / "tmp", "1m") as temporary:
        fill(temporary)
        farm = commands.up("--slots", "8", prefix=_on_a_small_machine(), TMPDIR=str(temporary))
        [node] = farm.get("/nodes")["nodes"]
        assert 1 <= node["capabilities"]["units"] < 8
        bodies = [{"scenario": "480p30-h264", "parameters": {"duration": 0.3}} for _ in range(12)]
        farm.post("/jobs/batch", {"jobs": bodies})
        jobs = wait_for(
            lambda: farm.get("/jobs")["jobs"],
            lambda jobs: {"completed"} == {job["status"] for job in jobs} and len(jobs) == 12,
            seconds=120,
        )
        assert {(1, 0)} == {(job["attempt"], job["failures"]) for job in jobs}
        assert 0 == farm.stop()
    words = (commands.folder / "stderr.txt").read_text()
    assert f"uses {node['capabilities']['units']} of 8 units: it may have only 50 files open" in words
    assert f"the folder for temporary files, {temporary}, is full" in words
    assert f"  cores     {node['capabilities']['units']} units\n" in words
    assert "Traceback" not in words


def test_a_job_that_needs_more_memory_than_there_is_fails_by_name(commands: Commands) -> None:
    """It does not take the farm with it: the next small job is completed."""
    farm = commands.up("--slots", "4", prefix=_on_a_small_machine(), REELMILL_MAX_FAILURES="1")
    big, small = (
        farm.post("/jobs", {"scenario": scenario, "parameters": {"duration": 0.3}})["id"]
        for scenario in ("2160p60-h264", "480p30-h264")
    )
    seen = wait_for(lambda: farm.get(f"/jobs/{big}"), lambda job: job["status"] in ("failed", "completed"))
    assert ("failed", "out_of_memory") == (seen["status"], seen["error_code"])
    wait_for(lambda: farm.get(f"/jobs/{small}")["status"], lambda status: status == "completed")
    assert 0 == farm.stop()
    assert "Traceback" not in (commands.folder / "stderr.txt").read_text()
