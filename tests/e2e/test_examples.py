"""Each of examples/ does on a real farm what its first lines say."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from reelmill.worker.inventory import find_ffmpeg
from tests.rtmp_server import publisher, rtmp_server

from .conftest import Commands, Farm, read_json

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.iterdir() if not path.suffix)
SMALL = {"SCENARIO": "480p30-h264", "DURATION": "0.2"}


def run_example(
    commands: Commands, name: str, *arguments: str, typed: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end in the folder of the test; ``typed`` is what somebody at a terminal types, None is no terminal."""
    argv: Sequence[str | Path] = [EXAMPLES / name, *arguments]
    if typed is not None:
        argv = ["script", "--quiet", "--return", "--echo", "never", "--command", str(EXAMPLES / name), "/dev/null"]
    path = f"{Path(sys.executable).parent}:{commands.environment['PATH']}"
    return subprocess.run(
        argv,
        cwd=commands.folder,
        env=commands.environment | SMALL | variables | {"PATH": path},
        input=typed or "",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_each_script_is_strict_and_can_be_run(script: Path) -> None:
    """Executable, sound bash, and stops at the first thing that goes wrong."""
    end = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (0, "") == (end.returncode, end.stderr)
    assert "\nset -euo pipefail\n" in script.read_text()
    assert 0o111 & script.stat().st_mode


def test_launch_1000_jobs_launches_and_says_what_to_watch(commands: Commands) -> None:
    """As many as COUNT says, on the farm that REELMILL_MASTER names; the commands that it shows work."""
    farm = commands.up()
    end = run_example(commands, "launch_1000_jobs", COUNT="6", REELMILL_MASTER=farm.url)
    assert 0 == end.returncode, end.stderr
    launch = read_json(commands.folder / "job_launch_results.json")[0]["launch_id"]
    assert (6, True) == (farm.get("/jobs/summary")["total"], "nodes   1 online" in end.stderr)
    shown = [line.split("   ")[0].split() for line in end.stderr.partition("next:")[2].splitlines() if launch in line]
    assert ["launches watch", "jobs list", "launches report", "jobs cancel"] == [
        " ".join(words[1:3]) for words in shown
    ]
    for words in shown:
        assert 0 == commands.run(*words[1:], REELMILL_MASTER=farm.url).returncode


def test_launch_1000_jobs_without_workers_asks_first(commands: Commands) -> None:
    """Nobody there or a no: nothing is sent, exit 1. A yes, typed or in ASSUME_YES: it launches."""
    farm = commands.up()
    farm.post(f"/nodes/{farm.get('/nodes')['nodes'][0]['id']}/drain")
    silent = run_example(commands, "launch_1000_jobs", COUNT="3", REELMILL_MASTER=farm.url)
    assert (1, True) == (silent.returncode, "no worker takes jobs now" in silent.stderr), silent.stderr
    refused = run_example(commands, "launch_1000_jobs", COUNT="3", REELMILL_MASTER=farm.url, typed="n\n")
    assert (1, True) == (refused.returncode, "Launch 3 jobs all the same?" in refused.stdout), refused.stdout
    assert 0 == farm.get("/jobs/summary")["total"]
    for typed, yes in (("y\n", ""), (None, "1")):
        end = run_example(
            commands, "launch_1000_jobs", COUNT="3", REELMILL_MASTER=farm.url, ASSUME_YES=yes, typed=typed
        )
        assert 0 == end.returncode, end.stdout + end.stderr
    assert 6 == farm.get("/jobs/summary")["total"]


def test_launch_1000_jobs_without_a_master_says_what_to_type(commands: Commands) -> None:
    """One line, exit 1, no file."""
    end = run_example(commands, "launch_1000_jobs", REELMILL_MASTER="http://127.0.0.1:9")
    expected = "error: nothing answers at http://127.0.0.1:9; start a farm with `reelmill up`"
    assert (1, "", True) == (end.returncode, end.stdout, end.stderr.startswith(expected)), end.stderr
    assert [] == list(commands.folder.iterdir())


def test_batch_sizes_prints_a_table_and_leaves_no_job_waiting(commands: Commands) -> None:
    """One line for each size, with a rate; every job it sent is canceled, and none has run."""
    farm = commands.up()
    end = run_example(commands, "batch_sizes", COUNT="40", SIZES="1 20", REELMILL_MASTER=farm.url)
    assert 0 == end.returncode, end.stderr
    _, *lines = end.stdout.splitlines()
    assert ["1", "20"] == [line.split()[0] for line in lines]
    assert all(" jobs/s " in line and "p95" in line for line in lines), end.stdout
    jobs = farm.get("/jobs")["jobs"]
    assert ({("canceled", 0)}, 80) == ({(job["status"], job["attempt"]) for job in jobs}, len(jobs))
    assert 1 == run_example(commands, "batch_sizes", SIZES="1", REELMILL_MASTER="http://127.0.0.1:9").returncode


def test_two_masters_shares_the_load(commands: Commands, other: Farm) -> None:
    """Half of the jobs at each farm, all completed; with one farm away nothing is sent to the other."""
    farm = commands.up()
    away = run_example(commands, "two_masters", MASTER_A=farm.url, MASTER_B="http://127.0.0.1:9", COUNT="7")
    assert (1, 0) == (away.returncode, farm.get("/jobs/summary")["total"]), away.stderr
    end = run_example(commands, "two_masters", MASTER_A=farm.url, MASTER_B=other.url, COUNT="7")
    assert 0 == end.returncode, end.stderr
    assert [4, 3] == [one.get("/jobs/summary")["total"] for one in (farm, other)]
    assert [4, 3] == [len(read_json(commands.folder / f"results_{name}.json")) for name in "ab"]
    assert 2 == end.stdout.count("completed")


@pytest.fixture
def other(commands: Commands) -> Farm:
    """A second farm, with a data folder of its own."""
    return commands.up("--data", str(commands.folder / "other"))


def test_ci_load_test_brings_its_own_farm_and_leaves_reports(commands: Commands) -> None:
    """Without a master: a farm for the test only, exit 0, JUnit and a page; nothing else is left."""
    end = run_example(commands, "ci_load_test", COUNT="4", TMPDIR=str(commands.folder))
    assert 0 == end.returncode, end.stdout + end.stderr
    reports = commands.folder / "reports"
    suite = ElementTree.parse(reports / "junit.xml").getroot()
    assert {"failed<1%", "p95(queue_wait)<5m"} <= {case.get("name") for case in suite.iter("testcase")}
    names = sorted(path.name for path in reports.iterdir())
    assert ["farm.log", "junit.xml", "report.html", "results.json", "results.json.ledger"] == names
    assert ["reports"] == [path.name for path in commands.folder.iterdir() if not path.name.startswith(".")]


def test_ci_load_test_fails_when_a_threshold_is_missed(commands: Commands) -> None:
    """Exit 99 on the farm that it was given, and the reports are there all the same."""
    farm = commands.up()
    variables = {"COUNT": "2", "REELMILL_MASTER": farm.url, "THRESHOLDS": "failed<1% throughput>1000/s"}
    end = run_example(commands, "ci_load_test", **variables)
    assert 99 == end.returncode, end.stdout + end.stderr
    report = (commands.folder / "reports" / "junit.xml").read_text()
    assert (True, True) == ("<failure" in report, "throughput&gt;1000/s" in report), report
    assert "throughput>1000/s" in end.stdout + end.stderr
    assert "healthy" == farm.get("/health")["status"]


def test_the_workflow_for_ci_runs_what_there_is() -> None:
    """It is sound YAML, and each script that it names exists and can be run."""
    steps = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"]["load-test"]["steps"]
    scripts = [EXAMPLES.parent / step["run"] for step in steps if "run" in step]
    assert ["setup", "ci_load_test"] == [script.name for script in scripts]
    assert all(0o111 & script.stat().st_mode for script in scripts)


def test_cron_transcode_does_what_is_new_once(commands: Commands) -> None:
    """Each new file becomes a verified output, once and without a word; a broken one stays, and is told."""
    farm = commands.up(REELMILL_MAX_FAILURES="1")
    incoming = commands.media / "incoming"
    incoming.mkdir()
    variables = {"MEDIA": str(commands.media), "REELMILL_MASTER": farm.url, "SETTLED": "now"}
    make_clip(incoming / "first film.mov")
    make_clip(incoming / "second.mov")
    for _ in range(2):
        end = run_example(commands, "cron_transcode", **variables)
        assert (0, "", "") == (end.returncode, end.stdout, end.stderr)
        assert ["completed"] * 2 == [job["status"] for job in farm.get("/jobs")["jobs"]]
    assert ["first film.mov", "second.mov"] == sorted(path.name for path in (commands.media / "done").iterdir())
    (incoming / "broken.mov").write_bytes(b"no film at all")
    end = run_example(commands, "cron_transcode", **variables)
    assert (True, True) == (end.returncode != 0, "incoming/broken.mov: exit code 3" in end.stdout), end.stdout
    assert ["broken.mov"] == [path.name for path in incoming.iterdir()]


def test_cron_transcode_never_runs_twice_at_a_time(commands: Commands) -> None:
    """While another run holds the lock, it ends at once and says nothing."""
    logs = commands.folder / ".cron_transcode"
    logs.mkdir()
    with (logs / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        end = run_example(commands, "cron_transcode", MEDIA=str(commands.folder), INCOMING="missing")
    assert (0, "", "") == (end.returncode, end.stdout, end.stderr)


def test_record_a_stream_records_it_and_says_what_came(commands: Commands) -> None:
    """As long as it is told; a stream that the farm refuses is told too."""
    farm = commands.up()
    with rtmp_server(commands.folder) as server, publisher(server.url("show")):
        end = run_example(commands, "record_a_stream", server.url("show"), "show.mp4", "2", REELMILL_MASTER=farm.url)
    assert 0 == end.returncode, end.stderr
    [job] = farm.get("/jobs")["jobs"]
    assert ("completed", "duration") == (job["status"], job["result"]["received"]["end"])
    assert (commands.media / "show.mp4").stat().st_size == job["result"]["size_bytes"]
    end = run_example(commands, "record_a_stream", "rtmp://h/app", "show.mp4", REELMILL_MASTER=farm.url)
    assert (1, True) == (end.returncode, "names no stream" in end.stderr)


def make_clip(path: Path) -> None:
    """Half a second of film."""
    argv = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24", "-t", "0.5", "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg().path, *argv, path], check=True)
