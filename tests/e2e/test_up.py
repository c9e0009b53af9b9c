"""`reelmill up`: starts with one command, says what it found, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.disks import disk_of, fill

from .conftest import Commands, wait_for


def test_up_says_where_it_is_and_what_it_found(commands: Commands) -> None:
    """The URL goes to stdout; cores, ffmpeg, encoders and how long jobs are kept to stderr."""
    farm = commands.up("--retention", "12h")
    words = (commands.folder / "stderr.txt").read_text()
    assert ("healthy", 1) == (farm.get("/health")["status"], farm.get("/health")["nodes_online"])
    assert all(word in words for word in ("cores", "ffmpeg", "h264, h265, vp9, av1", str(commands.media)))
    assert "  retention jobs are kept 12h behind their end\n" in words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_an_idle_farm_cleanly(commands: Commands, number: int) -> None:
    """Exit 0; no process, socket or lock is left."""
    farm = commands.up()
    family = farm.family()
    port = int(farm.url.rsplit(":", 1)[1])
    assert 0 == farm.stop(number)
    assert [] == [process for process in family if process.is_running()]
    assert ["farm.db"] == sorted(path.name for path in (commands.folder / "data").iterdir())
    with socket.socket() as probe:
        assert 0 != probe.connect_ex(("127.0.0.1", port))


def test_the_first_signal_finishes_what_runs(commands: Commands) -> None:
    """P7: running jobs end well, waiting ones wait for the next start."""
    farm = commands.up("--slots", "1")
    jobs = [farm.post("/jobs", {"scenario": "720p30-h264", "parameters": {"duration": 2}}) for _ in range(2)]
    wait_for(lambda: farm.get(f"/jobs/{jobs[0]['id']}")["status"], lambda status: status == "running")
    assert 0 == farm.stop()
    again = commands.up("--slots", "1")
    history = again.get(f"/jobs/{jobs[0]['id']}/history")["history"]
    assert "completed" == history[-1]["to_status"]
    wait_for(lambda: again.get(f"/jobs/{jobs[1]['id']}")["status"], lambda status: status == "completed")


def test_the_second_signal_gives_running_jobs_back_at_once(commands: Commands) -> None:
    """P7: nothing is finished for nobody; the job is queued again and no engine is left."""
    farm = commands.up()
    job = farm.post("/jobs", {"scenario": "1080p60-h264", "parameters": {"duration": 600}})
    wait_for(lambda: farm.get(f"/jobs/{job['id']}")["status"], lambda status: status == "running")
    family = farm.family()
    farm.process.send_signal(signal.SIGTERM)
    wait_for((commands.folder / "stderr.txt").read_text, lambda words: "finishing 1 running job" in words)
    assert 0 == farm.stop(signal.SIGTERM)
    assert [] == [process for process in family if process.is_running()]
    steps = commands.up("--slots", "1").get(f"/jobs/{job['id']}/history")["history"]
    assert "its worker was stopped" in [step["reason"] for step in steps]


def test_ctrl_c_while_it_starts_is_quiet(commands: Commands) -> None:
    """In the middle of looking at the machine: exit 130 at once, without a word, and nothing is left."""
    slow = commands.folder / "ffmpeg"
    slow.write_text(f"#!/bin/sh\n: >'{commands.folder}/started'\nexec sleep 60\n")
    slow.chmod(0o755)
    child = commands.start("up", "--port", "0", "--data", "data", REELMILL_FFMPEG=str(slow))
    wait_for((commands.folder / "started").exists, bool)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    assert 130 == child.wait(8)
    assert ("", False) == ((commands.folder / "stderr.txt").read_text(), (commands.folder / "data").exists())


def test_a_taken_port_is_one_clear_line(commands: Commands) -> None:
    """The line says which port, and what to do; no traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        end = commands.run("up", "--port", str(port), "--data", str(commands.folder / "data"))
    expected = f"error: port {port} is in use; stop what uses it, or choose another with --port\n"
    assert (1, expected) == (end.returncode, end.stderr)


def test_a_farm_that_runs_already_is_named(commands: Commands) -> None:
    """Typed twice: the second `up` says where the first one answers and what to do; the first goes on."""
    farm = commands.up()
    end = commands.run("up", "--port", farm.url.rpartition(":")[2])
    expected = f"farm already runs at {farm.url}: use it as it is, or stop it (Ctrl-C where it runs); another one needs"
    assert (1, "", True) == (end.returncode, end.stdout, expected in end.stderr), end.stderr
    assert "healthy" == farm.get("/health")["status"]
    assert 0 == commands.run("doctor", "--port", farm.url.rpartition(":")[2]).returncode


def test_a_mistyped_media_folder_is_not_made(commands: Commands) -> None:
    """Exit 2, with the folder that was probably meant and how to make the other; no farm, no folder."""
    (commands.folder / "Videos").mkdir()
    for wrong, meant in (("Vidoes", f"did you mean {commands.folder}/Videos? Else make it with `mkdir"), ("x", "make")):
        end = commands.run("up", "--port", "0", "--media", wrong, "--data", "data")
        expected = f"error: there is no media folder {commands.folder}/{wrong}; {meant}"
        assert (2, expected, 1) == (end.returncode, end.stderr[: len(expected)], len(end.stderr.splitlines()))
        assert f"`mkdir -p {commands.folder}/{wrong}`" in end.stderr
    assert ["Videos"] == [path.name for path in commands.folder.iterdir()]


def test_a_second_master_on_the_same_database_is_refused(commands: Commands) -> None:
    """Two masters on one SQLite file would not see each other; the line names the first one's process."""
    farm = commands.up()
    end = commands.run("up", "--port", "0", "--data", str(commands.folder / "data"))
    assert 1 == end.returncode
    assert end.stderr.startswith(f"error: another master (process {farm.process.pid}) already uses ")


def test_a_folder_that_cannot_be_written_is_one_clear_line(commands: Commands) -> None:
    """Nothing starts, and the line names the folder and the option."""
    (commands.folder / "file").touch()
    end = commands.run("up", "--port", "0", "--data", str(commands.folder / "file" / "data"))
    assert 1 == end.returncode
    assert end.stderr.startswith("error: cannot write to the data folder ")
    assert "--data" in end.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--slots", "0"], "error: slots is 0; it must be from 1 to 4096\n"),
        (["--port", "70000"], "error: port is 70000; it must be from 0 to 65535\n"),
        (
            ["--store", ""],
            "error: --store is empty (a variable that is not set?); give a postgresql:// URL, or leave it out\n",
        ),
        (
            ["--store", "sqlite"],
            "error: the store sqlite is not a postgresql:// URL; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE,"
            " or give no store for a SQLite file\n",
        ),
        (
            ["--label", "gpu"],
            "error: --label: 'gpu' is not a label; write NAME=VALUE, such as gpu=yes\n",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(
    commands: Commands, arguments: list[str], expected: str
) -> None:
    """Exit 2 and one line."""
    end = commands.run("up", *arguments)
    assert (2, expected) == (end.returncode, end.stderr)


def test_the_projects_settings_file_is_read(commands: Commands) -> None:
    """./reelmill.toml sets what no flag or variable does."""
    (commands.folder / "reelmill.toml").write_text("max-retries = 3\n")
    end = commands.run("up")
    assert 2 == end.returncode
    assert end.stderr.startswith(
        "error: reelmill.toml: unknown setting 'max_retries'; did you mean 'max_crashes'?; known are "
    )


def test_doctor_finds_nothing_wrong_here(commands: Commands) -> None:
    """On a machine that passes the tests, every check is ok or a warning, and the exit code is 0."""
    end = commands.run("doctor", "--data", str(commands.folder / "data"), "--port", "0", "-o", "csv")
    assert 0 == end.returncode, end.stdout
    assert {"python", "sqlite", "ffmpeg", "cores", "setpriv"} <= {line.split(",")[0] for line in end.stdout.split()}


def test_doctor_names_what_is_wrong_and_what_to_do(commands: Commands) -> None:
    """A port in use by something else and a folder that cannot be written: exit 1, with advice."""
    (commands.folder / "file").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        end = commands.run("doctor", "--data", str(Path("file") / "data"), "--port", str(port), "-o", "csv")
    errors = [line for line in end.stdout.splitlines() if ",error," in line]
    assert (1, 2) == (end.returncode, len(errors)), end.stdout
    assert all(("--data" in line) or ("--port" in line) for line in errors)


def test_doctor_judges_folders_as_up_does(commands: Commands) -> None:
    """What `up` would refuse, doctor calls an error; what it had to make to know, it removes."""
    (commands.folder / "file").touch()
    good = commands.run("doctor", "--port", "0", "--data", "a/b/c", "-o", "csv")
    assert (0, ["file"]) == (good.returncode, [path.name for path in commands.folder.iterdir()]), good.stdout
    for option, folder in (
        ("--data", "file/data"),
        ("--data", "/proc/data"),
        ("--media", "none"),
        ("--media", "/proc"),
    ):
        end = commands.run("doctor", "--port", "0", option, folder, "-o", "csv")
        [line] = [line for line in end.stdout.splitlines() if ",error," in line]
        refused = commands.run("up", "--port", "0", option, folder)
        words = refused.stderr.removeprefix("error: ").partition(";")[0]
        assert (1, True) == (end.returncode, words in line), (line, refused.stderr)
        assert "free some space" not in line


def test_a_full_disk_for_the_database_is_named(commands: Commands, tmp_path: Path) -> None:
    """`up` and `doctor` say which folder has no space, and what to do."""
    with disk_of(tmp_path / "small", "1m") as small:
        fill(small)
        end = commands.run("up", "--port", "0", "--data", "small/data")
        found = f"cannot write to the data folder {small}/data: No space left on device"
        expected = f"error: {found}; choose another folder with --data, or free some space there\n"
        assert (1, expected) == (end.returncode, end.stderr)
        assert found in commands.run("doctor", "--port", "0", "--data", "small/data", "-o", "csv").stdout


def test_what_doctor_says_can_be_read_in_a_log(commands: Commands) -> None:
    """Without a terminal no line of its table is wider than 100 columns."""
    end = commands.run("doctor", "--port", "0", "--data", f"{'a long folder ' * 12}/data")
    assert 100 >= max(map(len, end.stdout.splitlines()))
