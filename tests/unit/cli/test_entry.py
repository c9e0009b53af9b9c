"""The way into the command and out of it: mistakes are one line, and Ctrl-C is quiet."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelmill.cli.main import run

REELMILL = [sys.executable, "-m", "reelmill.cli"]


def type_in(monkeypatch: pytest.MonkeyPatch, *argv: str) -> object:
    monkeypatch.setattr(sys, "argv", ["reelmill", *argv])
    with pytest.raises(SystemExit) as ended:
        run()
    return ended.value.code


@pytest.mark.parametrize(
    "argv",
    [
        ["launch", "--input", "bad\udcff.mov"],
        ["launch", "--name", "a\udcff"],
        ["jobs", "show", "a\udcff"],
    ],
)
def test_bytes_that_are_no_text_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    """The argument is named, nothing is sent, exit 2; no traceback."""
    assert type_in(monkeypatch, *argv) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("is not valid UTF-8")


@pytest.mark.parametrize(
    "reference", ["1/history", "summary", "1?x", "1#x", "..", ""], ids=["slash", "word", "query", "hash", "up", "empty"]
)
def test_a_reference_that_would_lead_elsewhere_is_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    """`jobs show 1/history` does not show the answer of another path."""
    assert type_in(monkeypatch, "jobs", "show", reference) == 1
    assert capsys.readouterr().err == f"error: there is no job {reference!r}\n"


@pytest.mark.parametrize(
    ("argv", "error", "command"),
    [
        (["launch", "--foo"], "error: no such option: --foo", "reelmill launch"),
        (["jobs", "list", "--limit", "x"], "error: invalid value for '--limit': ", "reelmill jobs list"),
        (["jobs", "show"], "error: missing argument 'JOB'.", "reelmill jobs show"),
        (["nope"], "error: no such command 'nope'.", "reelmill"),
    ],
)
def test_wrong_usage_is_one_line_and_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], error: str, command: str
) -> None:
    """No boxes: the same style as every other error, and the help of the very command."""
    assert type_in(monkeypatch, *argv) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(error)
    assert second == f"Try '{command} --help'"


def test_a_status_that_no_job_has_lists_those_that_one_can(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in(monkeypatch, "jobs", "list", "--status", "bogus") == 2
    assert "(one of queued, assigned, running, retrying, paused, completed" in capsys.readouterr().err


@pytest.mark.parametrize("delay", [0.01, 0.03, 0.06, 0.1])
def test_ctrl_c_while_it_starts_is_quiet(delay: float) -> None:
    """Nothing on stderr, whenever it comes while the command loads what it needs."""
    code = """if True:
        import sys
        from reelmill.cli.main import run
        class Arguments(list):  # tells when they are read: only then has the command begun
            def __getitem__(self, which):
                sys.stdout.write("x")
                sys.stdout.flush()
                return super().__getitem__(which)
        sys.argv = Arguments(sys.argv)
        run()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", code, "jobs", "wait", "1", "--master", "http://127.0.0.1:9"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.read(1)
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert (130, b"") == (child.returncode, err) or err.startswith(b"error: nothing answers"), err


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    """Data that cannot be written is an error, not a success and not a traceback."""
    with Path("/dev/full").open("w") as full:
        end = subprocess.run([*REELMILL, "scenarios", "list"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (1, b"error: No space left on device\n") == (end.returncode, end.stderr)
