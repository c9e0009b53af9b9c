"""The commands as people type them: launch, look, wait, cancel, and what goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx2
import pytest

from reelmill.worker.inventory import find_ffmpeg

from .conftest import Commands, Farm, wait_for


@pytest.fixture
def farm(commands: Commands) -> Farm:
    return commands.up()


def test_a_real_file_is_transcoded_and_shown(commands: Commands, farm: Farm) -> None:
    """`launch --input … --wait` gives a verified file of the same length with its sound; `jobs show` tells its hash."""
    clip = commands.media / "holiday clip.mov"
    sources = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=24", "-f", "lavfi", "-i", "sine"]
    encode = ["-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *sources, *encode, clip], check=True)
    end = commands.run("launch", "--master", farm.url, "--input", str(clip), "--scenario", "720p30-h264", "--wait")
    assert 0 == end.returncode, end.stderr
    job = json.loads(commands.run("jobs", "show", "1", "-o", "json", "--master", farm.url).stdout)
    result = job["result"]
    shape = tuple(result[name] for name in ("width", "height", "codec", "container", "audio_codec"))
    assert (1280, 720, "h264", "mp4", "aac") == shape
    assert 3.0 == pytest.approx(result["duration"], abs=0.1)
    table = commands.run("jobs", "show", "1", "--master", farm.url).stdout
    assert all(str(value) in table for value in (result["sha256"], result["size_bytes"], result["speed"]))


def test_every_listing_during_the_work_is_right(commands: Commands, farm: Farm) -> None:
    """`GET /jobs` without a limit has each job exactly once, whatever runs at that moment."""
    jobs = [{"scenario": "480p30-h264", "parameters": {"duration": 0.1}}] * 150
    farm.post("/jobs/batch", {"jobs": jobs})
    while True:
        listed = farm.get("/jobs")
        assert (150, list(range(1, 151))) == (listed["count"], [job["sequence_number"] for job in listed["jobs"]])
        if {job["status"] for job in listed["jobs"]} == {"completed"}:
            break


def test_bad_usage_is_one_line_and_submits_nothing(commands: Commands, farm: Farm) -> None:
    """A typo in any option is found before anything is sent: exit 2, one line, and it says what was meant."""
    for arguments, part in (
        (["--scenario", "720p30-h64"], "did you mean '720p30-h264'?"),
        (["--count", "0"], "--count"),
        (["--count", "abc"], "'abc' is not a count"),
        (["--queue", "lvie"], "did you mean 'live'?"),
        (["--bitrate", "5 potatoes"], "'5 potatoes' is not a bitrate"),
        (["--duration", "-3"], "--duration"),
        (["--output", str(commands.folder / "missing" / "results.json")], "--output"),
    ):
        end = commands.run("launch", "--master", farm.url, *arguments)
        assert (2, 1) == (end.returncode, len(end.stderr.splitlines())), end.stderr
        assert end.stderr.startswith("error: ")
        assert part in end.stderr
    assert 0 == farm.get("/jobs/summary")["total"]


def test_tenants_labels_and_blocked_jobs_on_the_command_line(commands: Commands) -> None:
    """A labelled node, a tenant with a limit, a job that needs what nobody has; each says so where one looks."""
    farm = commands.up("--label", "site=ber", "--label", "gpu=no")

    def run(*arguments: str) -> str:
        end = commands.run(*arguments, "--master", farm.url)
        assert 0 == end.returncode, end.stderr
        return end.stdout

    assert "site=ber, gpu=no" in run("nodes", "list", "-o", "csv")
    assert "studio: 0 at once, 0 now" in run("tenants", "limit", "studio", "0")
    small = ("launch", "--count", "1", "--scenario", "480p30-h264", "--duration", "0.2", "--output", "-")
    run(*small, "--tenant", "studio", "--node-label", "site=ber")
    run(*small, "--node-label", "gpu=yes")
    assert "queued, blocked" in run("jobs", "list")
    assert "it needs the label gpu=yes" in run("jobs", "show", "2")
    assert "tenant studio is at its limit: 0 of 0 jobs running" in run("jobs", "show", "1")
    assert "0 at once, 0 now; 1 may wait, 1 do" in run("tenants", "limit", "studio", "--max-queued", "1")
    assert ["studio", "0", "0", "1", "1"] in [line.split() for line in run("tenants", "list").splitlines()]
    end = commands.run("tenants", "unlimit", "nosuch", "--master", farm.url)
    assert (1, 1) == (end.returncode, len(end.stderr.splitlines())), end.stderr
    assert end.stderr.startswith("error: there is no tenant 'nosuch' with a limit")
    run("jobs", "pause", "1")  # else it starts with the limit's end, before or after the counts are read
    assert "any number at once, 0 now; any number may wait" in run("tenants", "unlimit", "studio")
    run("jobs", "resume", "1")
    assert "1 completed" in run("jobs", "wait", "1")
    [listed] = json.loads(run("jobs", "list", "--tenant", "studio", "-o", "json"))
    assert ("completed", {"site": "ber"}) == (listed["status"], listed["node_labels"])
    for arguments in (["up", "--label", "gpu"], ["launch", "--node-label", "gpu"], ["launch", "--tenant", "a b"]):
        end = commands.run(*arguments)
        assert (2, 1) == (end.returncode, len(end.stderr.splitlines())), end.stderr
    end = commands.run("tenants", "limit", "a b", "1", "--master", farm.url)
    assert (2, 1) == (end.returncode, len(end.stderr.splitlines())), end.stderr


def test_without_a_master_each_command_says_so(commands: Commands) -> None:
    """One line, exit 1, and what to type."""
    for arguments in (["launch"], ["jobs", "list"], ["nodes", "list"], ["jobs", "cancel", "1"]):
        end = commands.run(*arguments, "--master", "http://127.0.0.1:9")
        expected = "error: nothing answers at http://127.0.0.1:9; start a farm with `reelmill up`"
        assert (1, True) == (end.returncode, end.stderr.startswith(expected)), end.stderr


def test_cancel_retry_and_wait(commands: Commands, farm: Farm) -> None:
    """A running job is canceled, tried again, and waited for; acting on an ended job says its state."""
    job = farm.post("/jobs", {"scenario": "1080p60-h264", "parameters": {"duration": 600}})
    wait_for(lambda: farm.get(f"/jobs/{job['id']}")["status"], lambda status: status == "running")
    master = ["--master", farm.url]
    assert "1 canceled\n" == commands.run("jobs", "cancel", "1", *master).stdout
    wait_for(farm.family, lambda family: not any("ffmpeg" in process.name() for process in family), 2)
    assert "1 queued\n" == commands.run("jobs", "retry", "1", *master).stdout
    assert "1 canceled\n" == commands.run("jobs", "cancel", job["id"], *master).stdout
    end = commands.run("jobs", "wait", "1", *master)
    assert (3, "1 canceled: Canceled by a user.\n") == (end.returncode, end.stdout)
    end = commands.run("jobs", "pause", "1", *master)
    assert (1, "error: pause is not possible: the job is canceled\n") == (end.returncode, end.stderr)


def test_a_waiting_job_says_why(commands: Commands, farm: Farm) -> None:
    """`jobs explain` and `jobs show` tell what the job waits for, in words of the farm."""
    farm.post("/jobs", {"scenario": "480p30-h264", "engine": "gstreamer"})
    expected = "no node of this farm can run it: it needs gstreamer with an encoder for h264"
    explained = commands.run("jobs", "explain", "1", "--master", farm.url).stdout
    assert expected == explained.splitlines()[0]
    assert expected in commands.run("jobs", "show", "1", "--master", farm.url).stdout


def test_lists_are_for_programs_too(commands: Commands, farm: Farm) -> None:
    """JSON, NDJSON and CSV on stdout, with nothing else; without a terminal there are no colours."""
    farm.post("/jobs/batch", {"jobs": [{"scenario": "4K60-h265", "engine": "gstreamer"}] * 3})
    master = ["--master", farm.url]
    assert 3 == len(json.loads(commands.run("jobs", "list", "-o", "json", *master).stdout))
    assert 3 == len(
        [json.loads(line) for line in commands.run("jobs", "list", "-o", "ndjson", *master).stdout.splitlines()]
    )
    assert 4 == len(commands.run("jobs", "list", "-o", "csv", *master).stdout.splitlines())
    table = commands.run("jobs", "list", *master).stdout
    assert (4, False) == (len(table.splitlines()), "\x1b" in table)
    long = f"a folder/{'name ' * 12}.mp4"
    farm.post(
        "/jobs", {"scenario": "480p30-h264", "engine": "gstreamer", "parameters": {"duration": 1, "output": long}}
    )
    assert long in commands.run("jobs", "list", *master).stdout
    assert long in commands.run("jobs", "show", "4", *master).stdout
    assert 23 == len(json.loads(commands.run("scenarios", "list", "-o", "json").stdout))
    assert 1 == len(json.loads(commands.run("nodes", "list", "-o", "json", *master).stdout))


def test_results_may_go_to_standard_output(commands: Commands, farm: Farm) -> None:
    """`--output -`: the array alone on stdout, for jq; the summary on stderr."""
    end = commands.run("launch", "--count", "3", "--output", "-", "--master", farm.url)
    assert (0, 3) == (end.returncode, len(json.loads(end.stdout)))
    assert "accepted   3" in end.stderr


def test_results_that_cannot_be_written_do_not_hide_what_was_submitted(commands: Commands, farm: Farm) -> None:
    """A full disk: the true number of submitted jobs, how to cancel them, exit 1."""
    options = ["--count", "500", "--engine", "gstreamer", "--output", "/dev/full"]
    end = commands.run("launch", *options, "--master", farm.url)
    total = farm.get("/jobs/summary")["total"]
    assert 1 == end.returncode
    assert 500 == total
    assert f"gave up after {total} of 500 jobs: cannot write '/dev/full'" in end.stderr
    assert "to cancel: reelmill jobs cancel --launch " in end.stderr


def test_a_launch_is_canceled_with_one_command(commands: Commands, farm: Farm) -> None:
    """Every open job, in one line; done again it finds nothing to do."""
    body = {"jobs": [{"scenario": "480p30-h264", "engine": "gstreamer"}] * 3000, "launch": {"name": "big"}}
    launch = farm.post("/jobs/batch", body)["launch_id"]
    cancel = ["jobs", "cancel", "--launch", launch, "--master", farm.url]
    assert ["3000 canceled\n", "0 canceled\n"] == [commands.run(*cancel).stdout for _ in range(2)]


def test_a_long_list_may_be_left(commands: Commands, farm: Farm) -> None:
    """`jobs list | head -1`: no message, and the exit code of a closed pipe."""
    farm.post("/jobs/batch", {"jobs": [{"scenario": "480p30-h264", "engine": "gstreamer"}] * 3000})
    for how in ("ndjson", "json", "csv", "table"):
        child = commands.start("jobs", "list", "--all", "-o", how, "--master", farm.url)
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert (141, "") == (child.wait(60), (commands.folder / "stderr.txt").read_text().partition("Ctrl-C.\n")[2])


def test_a_filter_that_matches_nothing_says_so(commands: Commands, farm: Farm) -> None:
    """On stderr, with exit 0, or 1 when there is no such launch; a filter by engine finds its jobs."""
    farm.post("/jobs/batch", {"jobs": [{"scenario": "480p30-h264", "engine": "gstreamer"}] * 3})
    master = ["--master", farm.url]
    unknown = commands.run("jobs", "list", "--launch", "zz", *master)
    assert (1, "", True) == (unknown.returncode, unknown.stdout, "no launch" in unknown.stderr), unknown.stderr
    end = commands.run("jobs", "list", "--engine", "ffmpeg", *master)
    assert (0, "", "no jobs match\n") == (end.returncode, end.stdout, end.stderr)
    assert 3 == len(commands.run("jobs", "list", "--engine", "gstreamer", "-o", "ndjson", *master).stdout.splitlines())


def test_jobs_that_no_node_can_run_are_told(commands: Commands, farm: Farm) -> None:
    """Before and while waiting: which engine is missing. SIGHUP leaves valid results."""
    options = [
        "--count",
        "2",
        "--scenario",
        "480p30-h264",
        "--engine",
        "gstreamer",
        "--wait",
        "--output",
        "r.json",
        "--master",
        farm.url,
    ]
    child = commands.start("launch", *options)
    words = commands.folder / "stderr.txt"
    wait_for(words.read_text, lambda text: "2 of 2 jobs wait: no node has gstreamer" in text)
    child.send_signal(signal.SIGHUP)
    assert 130 == child.wait(60)
    assert "all 2 jobs will wait: no node has gstreamer" in words.read_text()
    assert 2 == len(json.loads((commands.folder / "r.json").read_text()))


def test_the_live_page_answers_head_and_is_short(commands: Commands, farm: Farm) -> None:
    """Monitors ask with HEAD; ids are shown by their end, numbers with separators, files by their names."""
    job = {"scenario": "480p30-h264", "engine": "gstreamer", "parameters": {"duration": 1, "output": "reel/first.mp4"}}
    plain = {**job, "parameters": {"duration": 1}}
    launch = farm.post("/jobs/batch", {"jobs": [*[plain] * 1200, job], "launch": {"name": "big"}})["launch_id"]
    head, page = (httpx2.request(method, farm.url + "/") for method in ("HEAD", "GET"))
    assert (200, b"") == (head.status_code, head.content)
    assert "1,201" in page.text
    assert (True, False) == (f">{launch[-8:]}<" in page.text, f">{launch}<" in page.text)
    assert ">first.mp4<" in page.text


def test_help_is_quick() -> None:
    """Help and version load no server, no database and no HTTP client."""
    code = (
        "import sys; sys.argv = ['reelmill', '--version']\n"
        "import reelmill.cli.commands\n"
        "heavy = {'litestar', 'sqlalchemy', 'httpx2', 'uvicorn', 'av', 'alembic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (end.returncode, end.stderr)
