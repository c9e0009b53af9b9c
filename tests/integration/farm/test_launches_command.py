"""`reelmill launches` as a process of its own, against a farm that encodes: list, show, watch, report, cancel."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.integration.farm.conftest import FarmMaker, FarmUnderTest

BAD = {"scenario": "480p30-h264", "parameters": {"input": "broken.mov"}}
GOOD = {"scenario": "480p30-h264", "parameters": {"duration": 0.2}}
LONG = {"scenario": "480p30-h264", "parameters": {"duration": 3000}}


async def launch(farm: FarmUnderTest, launch_id: str, *jobs: dict[str, Any], name: str | None = None) -> None:
    (farm.media / "broken.mov").write_text("this is no film")
    body = {"launch": {"id": launch_id, "name": name}, "jobs": list(jobs)}
    answer = (await farm.http.post("/jobs/batch", json=body)).raise_for_status().json()
    assert answer["accepted"] == len(jobs), answer


async def start(farm: FarmUnderTest, folder: Path, *argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reelmill.cli", *argv, "--master", farm.master.url),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(farm: FarmUnderTest, folder: Path, *argv: str) -> tuple[int | None, str, str]:
    process = await start(farm, folder, *argv)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_launch_is_watched_judged_and_reported(farm: FarmUnderTest, tmp_path: Path) -> None:
    """Two jobs complete and one fails: watch says so and exits 3, thresholds decide instead, each report agrees."""
    await launch(farm, "0191-first", GOOD, GOOD, BAD, name="nightly")
    code, out, _ = await run(farm, tmp_path, "launches", "watch", "nightly")
    assert (3, True, True) == (code, "completed     2" in out, "failed        1" in out)
    loose, strict = ("--threshold", "failed<50%"), ("--threshold", "failed<1%", "--threshold", "p95(queue_wait)<1h")
    assert 0 == (await run(farm, tmp_path, "launches", "watch", "0191", *loose))[0]
    code, out, _ = await run(farm, tmp_path, "launches", "watch", "latest", *strict)
    assert (99, True) == (code, "MISSED  failed<1%           33.3% (1 of 3)" in out)

    code, _, err = await run(farm, tmp_path, "launches", "report", "latest")
    page = (tmp_path / "launch_report.html").read_text()
    assert (0, True, True) == (code, "wrote launch_report.html (3 jobs)" in err, "input_not_media" in page)
    code, out, _ = await run(farm, tmp_path, "launches", "report", "latest", "--output", "-", "--format", "json")
    assert (0, 2, 1) == (code, *(json.loads(out)["counts"][status] for status in ("completed", "failed")))
    code, out, _ = await run(farm, tmp_path, "launches", "report", "latest", "--output", "junit.xml", *strict)
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert (99, "1") == (code, suite.get("failures"))
    assert "MISSED" in out


async def test_launches_are_listed_and_shown(farm: FarmUnderTest, tmp_path: Path) -> None:
    """As a table, as CSV and as JSON; the same figures in each."""
    await launch(farm, "0191-first", GOOD, GOOD)
    await run(farm, tmp_path, "launches", "watch", "latest")
    _, out, _ = await run(farm, tmp_path, "launches", "list")
    assert "0191-first" in out
    _, out, _ = await run(farm, tmp_path, "launches", "list", "-o", "csv")
    assert "0191-first,," in out
    assert out.rstrip().endswith(",2,0,2,0,0,0")
    _, out, _ = await run(farm, tmp_path, "launches", "show", "latest", "-o", "json")
    assert {"completed": 2} == json.loads(out)["launch"]["counts"]
    _, out, _ = await run(farm, tmp_path, "launches", "show", "latest")
    assert "queue wait" in out
    _, out, _ = await run(farm, tmp_path, "jobs", "list", "--launch", "latest", "-o", "json")
    assert 2 == len(json.loads(out))


async def test_show_and_watch_say_why_jobs_wait(farm: FarmUnderTest, tmp_path: Path) -> None:
    """Those that no node can run, with what is missing, and those that wait for room; watch warns of the first."""
    unfit = {"scenario": "480p30-h264", "node_labels": {"gpu": "yes"}, "parameters": {"duration": 1}}
    await launch(farm, "0191-stuck", *[LONG] * 5, *[unfit] * 3)
    running = (await farm.get("/jobs?launch=0191-stuck"))["jobs"][:2]
    for job in running:
        await farm.running(job)
    _, out, _ = await run(farm, tmp_path, "launches", "show", "latest")
    lacking = "no node has the label gpu=yes"
    why = f"3 are blocked: {lacking}; 3 wait: busy: 2 of 2 units, 1 needed"
    assert [why] == [line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("why ")]

    process = await start(farm, tmp_path, "launches", "watch", "latest")
    assert process.stderr is not None
    assert f"warning: 3 of 8 jobs wait: {lacking}\n" == (await process.stderr.readline()).decode()
    while why not in (await process.stderr.readline()).decode():
        pass
    process.send_signal(signal.SIGINT)
    await process.communicate()
    await run(farm, tmp_path, "launches", "cancel", "latest")
    _, out, _ = await run(farm, tmp_path, "launches", "show", "latest")
    assert "why" not in out


async def test_the_report_tells_how_to_repeat_the_launch(farm: FarmUnderTest, tmp_path: Path) -> None:
    """The command comes from the ledger beside the results, with the seed that was drawn; so do the rejected."""
    asked = ["--count", "2", "--scenario", "480p30-h264", "--duration", "0.2", "--wait"]
    assert 0 == (await run(farm, tmp_path, "launch", *asked))[0]
    report = ["launches", "report", "latest", "--output", "r.json", "--threshold", "rejected==0"]
    assert 0 == (await run(farm, tmp_path, *report))[0]
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["command"].startswith("reelmill launch --count 2 --scenario 480p30-h264")
    assert "--seed" in found["command"]
    assert 99 == (await run(farm, tmp_path, *report, "--results", "another.json"))[0]


async def test_ctrl_c_leaves_the_jobs_and_says_how_to_come_back(farm: FarmUnderTest, tmp_path: Path) -> None:
    """Exit 130, the command to go on with, and the job still runs; cancel ends it."""
    await launch(farm, "0191-long", LONG)
    process = await start(farm, tmp_path, "launches", "watch", "latest")
    assert process.stderr is not None
    assert b"transcoding 0 of 1" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert 130 == process.returncode
    assert b"the jobs go on; come back with: reelmill launches watch 0191-long" in err
    assert 1 == (await farm.get("/launches/0191-long"))["open"]
    assert (0, "1 canceled\n") == (await run(farm, tmp_path, "launches", "cancel", "latest"))[:2]


async def test_watching_outlives_a_restart_of_the_master(make_farm: FarmMaker, tmp_path: Path) -> None:
    """The master goes away and comes back at its port: the watch says both, and sees the end."""
    farm = make_farm()
    await farm.start_master()
    await launch(farm, "0191-first", GOOD)
    port = int(farm.master.url.rpartition(":")[2])
    process = await start(farm, tmp_path, "launches", "watch", "latest")
    assert process.stderr is not None
    assert b"no node is online" in await process.stderr.readline()
    await farm.stop()
    while b"still trying; the jobs are safe" not in await process.stderr.readline():
        pass
    again = make_farm(port=port)
    await again.start_master()
    await again.worker.start()
    out, err = await process.communicate()
    assert (0, True) == (process.returncode, b"the master answers again" in err)
    assert b"completed" in out


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("launches", "show", "nosuch"), 1, "there is no launch 'nosuch'"),
        (("launches", "watch", "latest"), 1, "there is no launch yet"),
        (("launches", "report", "nosuch"), 1, "there is no launch 'nosuch'"),
        (("launches", "report", "latest", "--output", "nowhere/r.html"), 2, "there is no folder"),
        (("launches", "report", "latest", "--output", "r.pdf"), 2, "say which with --format"),
        (("launches", "watch", "latest", "--threshold", "fialed<1"), 2, "did you mean 'failed'?"),
        (("jobs", "list", "--launch", "nosuch"), 1, "there is no launch 'nosuch'"),
        (("jobs", "list", "--node", "nosuch"), 1, "there is no node 'nosuch'"),
    ],
)
async def test_bad_use_is_one_line(
    make_farm: FarmMaker, tmp_path: Path, argv: tuple[str, ...], code: int, said: str
) -> None:
    """One line, the right exit code, and no file left behind."""
    farm = make_farm()
    await farm.start_master()
    before = sorted(tmp_path.iterdir())
    found, out, err = await run(farm, tmp_path, *argv)
    assert (code, "", 1) == (found, out, err.count("\n"))
    assert err.startswith("error: ")
    assert said in err
    assert before == sorted(tmp_path.iterdir())
