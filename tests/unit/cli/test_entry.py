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
    ("words", "sentence"),
    [
        ("launch --cuont 5", "`reelmill launch` has no option '--cuont'; did you mean --count? See `reelmill launch"),
        ("launch -o json", "`reelmill launch` has no -o; its results go to a file: --output FILE"),
        ("launch 500", "`reelmill launch` takes options only, so '500' is too much; did you mean --count 500? See"),
        ("launch --count", "--count needs a value behind it"),
        ("up --prot 80", "`reelmill up` has no option '--prot'; did you mean --port? See `reelmill up --help`"),
        ("up --slots 2.5", "--slots: '2.5' is not a whole number; see `reelmill up --help`"),
        ("up --bogus", "`reelmill up` has no option '--bogus'; see `reelmill up --help`"),
        ("jobs list --all=5", "--all takes no value"),
        ("jobs list --limit x", "--limit: 'x' is not a whole number; see `reelmill jobs list --help`"),
        ("jobs list --limit 0", "--limit: 0 is too small; the least is 1; see `reelmill jobs list --help`"),
        ("jobs list -o jsn", "--output: unknown value 'jsn'; did you mean 'json'?"),
        ("jobs show", "JOB is missing; see `reelmill jobs show --help`"),
        ("jobs show 1 2", "`reelmill jobs show` takes only JOB, so '2' is too much; see `reelmill jobs show --help`"),
        ("jobs cancel", "JOB is missing: name jobs, or all jobs of a launch with --launch ID"),
        ("jobs wait --launch x 3", "JOB names some jobs, and --launch all jobs of a launch; give one of the two"),
        (
            "tenants limit acme -3",
            "-3 looks like an option; no number that `reelmill tenants limit` takes may be negative",
        ),
        (
            "jobs lst",
            "`reelmill jobs` has no command 'lst'; did you mean `reelmill jobs list`? See `reelmill jobs --help`",
        ),
        ("explain 3", "`reelmill` has no command 'explain'; did you mean `reelmill jobs explain`?"),
        (
            "cancel 3",
            "`reelmill` has no command 'cancel'; did you mean `reelmill jobs cancel` or `reelmill launches cancel`?",
        ),
        ("banana", "`reelmill` has no command 'banana'; see `reelmill --help`"),
    ],
)
def test_wrong_usage_is_one_line_of_our_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    """Exit 2; it says what is wrong, what was probably meant, and whose help says more."""
    assert 2 == type_in(monkeypatch, *words.split())
    [line] = capsys.readouterr().err.splitlines()
    assert f"error: {sentence}" == line[: len(f"error: {sentence}")]


@pytest.mark.parametrize(
    ("words", "corrected"),
    [
        ("--input in/a.mov in/b.mov --scenario x", "reelmill launch --input 'in/*.mov' --scenario x"),
        ("--count 2 --input in/a.mov in/b.mov in/c.txt", "reelmill launch --count 2 --input 'in/*'"),
        ("--input in/a.mov in/deep/d.mov", "reelmill launch --input 'in/**/*.mov'"),
        ("--input e.mov in/a.mov", "reelmill launch --input '**/*.mov'"),
        ("--input in/a.mov 500", None),
        ("--input in/a.mov --verbose in/b.mov", None),
    ],
)
def test_a_pattern_that_the_shell_expanded_is_told_with_the_corrected_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: str,
    corrected: str | None,
) -> None:
    """Several files behind --input were a pattern without quotes; any other word too many is just that."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("e.mov", "in/a.mov", "in/b.mov", "in/c.txt", "in/deep/d.mov"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert 2 == type_in(monkeypatch, "launch", *words.split())
    [line] = capsys.readouterr().err.splitlines()
    assert corrected is None or f"quote it: `{corrected}`; see" in line
    assert (corrected is None) == ("is too much" in line)


def test_the_help_names_each_argument_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`JOB...`, not `JOB......`."""
    assert 0 == type_in(monkeypatch, "jobs", "cancel", "--help")
    assert "[JOB]...\n" in capsys.readouterr().out


def test_a_status_that_no_job_has_lists_those_that_one_can(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in(monkeypatch, "jobs", "list", "--status", "bogus") == 2
    assert "there are queued, assigned, running, retrying, paused, completed" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("place", "module"),
    [
        ("_get_module_lock.<locals>.cb", "reelmill.cli.main"),
        ("cached_property.__set_name__", "reelmill.cli.main"),
        ("_get_module_lock.<locals>.cb", "httpx2"),
    ],
)
def test_ctrl_c_is_quiet_where_an_exception_would_be_lost_or_changed(place: str, module: str) -> None:
    """In a weak reference's callback and in a `__set_name__`, while the command or its client is loaded."""
    code = f"""if True:
        import os, signal, sys
        from reelmill.cli.main import run
        def interrupt(frame, event, _argument):
            if event == "call" and frame.f_code.co_qualname == {place!r} and {module!r} in sys.modules:
                sys.setprofile(None)
                os.kill(os.getpid(), signal.SIGINT)
        sys.argv = ["reelmill", "jobs", "wait", "1", "--master", "http://127.0.0.1:9"]
        sys.setprofile(interrupt)
        run()
    """
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=False)
    assert (130, b"") == (end.returncode, end.stderr)


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    """Data that cannot be written is an error, not a success and not a traceback."""
    with Path("/dev/full").open("w") as full:
        end = subprocess.run([*REELMILL, "scenarios", "list"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (1, b"error: No space left on device\n") == (end.returncode, end.stderr)
