"""P9: bad input fails fast, named, and is not retried. Every input of `tests/bad_inputs` at one real farm."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from tests.bad_inputs.case import Answer, Case
from tests.bad_inputs.kitchen import Kitchen
from tests.bad_inputs.table import CASES

from .conftest import Commands, Farm, wait_for

pytestmark = pytest.mark.timeout(600)

_TERMINAL = {"completed", "failed", "canceled", "timed_out"}
_HANG_SECONDS = 20.0
"""No input may take longer, however loaded the machine is; the figure of an idle one is in docs/promises.md."""


class Outcome(NamedTuple):
    """What became of a case: the job as it ended, or for a refused one the problem document; and the run's seconds."""

    answer: Answer
    body: dict[str, Any]
    seconds: float


class Course(NamedTuple):
    """The whole corpus, run."""

    kitchen: Kitchen
    commands: Commands
    outcomes: dict[str, Outcome]
    texts: dict[str, str]
    """Everything that the API and the command line said, by where."""
    exit_code: int


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Generator[Course, None, None]:
    """All cases through one `reelmill up` with two slots."""
    commands = Commands(tmp_path_factory.mktemp("bad-inputs"))
    kitchen = Kitchen(commands.folder)
    try:
        farm = commands.up("--slots", "2", REELMILL_FFMPEG=str(kitchen.engine()))
        made = _submit_all(farm, kitchen)
        ids = [body["id"] for body in made.values() if "id" in body]
        with contextlib.suppress(pytest.fail.Exception):  # then the tests of those that hang say so, each
            wait_for(lambda: _unended(farm, ids), lambda left: not left, 900)
        outcomes = {case.file: _outcome(farm, case, made[case.file]) for case in CASES}
        texts = {f"submission of {file!r}": json.dumps(body) for file, body in made.items()}
        texts |= dict(_everything_said(farm, commands, made))
        exit_code = farm.stop()
        texts["stderr"] = (commands.folder / "stderr.txt").read_text()
        yield Course(kitchen, commands, outcomes, texts, exit_code)
    finally:
        commands.end_all()
        kitchen.tripwire.close()


def _submit_all(farm: Farm, kitchen: Kitchen) -> dict[str, dict[str, Any]]:
    """What the API said to each; none runs before all are accepted and have changed."""
    blockers = [farm.post("/jobs", {"scenario": "480p30-h264", "parameters": {"duration": 86400}}) for _ in range(2)]
    wait_for(lambda: farm.get("/jobs/summary"), lambda seen: seen["by_status"].get("running") == 2)
    made: dict[str, dict[str, Any]] = {}
    for case in CASES:
        path = kitchen.root / case.file.replace("\0", "")
        if path.is_relative_to(kitchen.root):
            path.parent.mkdir(parents=True, exist_ok=True)
        case.make(kitchen, path)
        request = {"scenario": "480p30-h264", "parameters": {"input": case.file} | dict(case.parameters)}
        made[case.file] = farm.ask("POST", "/jobs", json.dumps(request).encode()).json()
        if case.later is not None:
            case.later(kitchen, path)
    for job in blockers:
        farm.post(f"/jobs/{job['id']}/cancel")
    return made


def _unended(farm: Farm, ids: list[str]) -> list[str]:
    ended = {job["id"] for status in _TERMINAL for job in farm.get(f"/jobs?status={status}&limit=1000")["jobs"]}
    return [one for one in ids if one not in ended]


def _outcome(farm: Farm, case: Case, made: dict[str, Any]) -> Outcome:
    if "id" not in made:
        return Outcome(Answer("refused", None, made.get("code")), made, 0.0)
    job = farm.get(f"/jobs/{made['id']}")
    end = datetime.fromisoformat(job["completed_at"]) if job["completed_at"] else datetime.now(UTC)
    ran = end - datetime.fromisoformat(job["assigned_at"])
    return Outcome(Answer(job["status"], job["failure_reason"], job["error_code"]), job, ran.total_seconds())


def _everything_said(farm: Farm, commands: Commands, made: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for job in made.values():
        for view in ("", "/history", "/logs", "/explain"):
            if "id" in job:
                path = f"/jobs/{job['id']}{view}"
                yield path, farm.ask("GET", path).text
    yield "/jobs", farm.ask("GET", "/jobs").text
    yield "/metrics", farm.ask("GET", "/metrics").text
    told = commands.run("jobs", "list", "--limit", "500", "--master", farm.url)
    yield "jobs list", told.stdout + told.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.what))
def test_each_input_gets_its_answer(course: Course, case: Case) -> None:
    """What docs/failures.md says of it, at the first attempt, and with what the result must have."""
    outcome = course.outcomes[case.file]
    assert case.answer == outcome.answer, outcome.body
    if outcome.answer.status != "refused":
        assert 1 == outcome.body["attempt"]
        assert dict(case.seen) == {key: outcome.body["result"][key] for key in case.seen}


def test_nothing_hangs(course: Course) -> None:
    """P9: each answer comes soon. The figures are printed; the bound is only against hangs."""
    ran = {case.what: course.outcomes[case.file] for case in CASES if course.outcomes[case.file].body.get("attempt")}
    for status in ("failed", "completed"):
        seconds = {what: seen.seconds for what, seen in ran.items() if seen.answer.status == status}
        slowest = max(seconds, key=lambda what: seconds[what])
        median = statistics.median(seconds.values())
        figures = f"median {median:.2f} s, slowest {seconds[slowest]:.2f} s ({slowest})"
        sys.stdout.write(f"{len(seconds)} {status}: {figures}\n")
    assert {} == {what: seen.seconds for what, seen in ran.items() if seen.seconds > _HANG_SECONDS}


def test_nothing_breaks(course: Course) -> None:
    """No traceback, no fault of reelmill's own; the farm stops well and leaves no attempt folder."""
    assert 0 == course.exit_code
    assert [] == [word for word in ("Traceback", "attempt_crashed", "internal_error") if word in course.texts["stderr"]]
    assert [] == list((course.kitchen.root / ".reelmill" / "attempts").iterdir())


def test_no_byte_from_outside_gets_in(course: Course) -> None:
    """What lies outside the media root is in no answer, log, database or output, and no host was called."""
    canary = course.kitchen.canary
    assert [] == [where for where, text in course.texts.items() if canary in text]
    made = [*course.kitchen.root.rglob("*.mp4"), *(course.commands.folder / "data").rglob("*")]
    files = [path for path in made if path.is_file() and path.stat().st_size < 1 << 30 and not path.is_symlink()]
    assert len(files) > 100
    assert [] == [path.name for path in files if canary.encode() in path.read_bytes()]
    with pytest.raises(BlockingIOError):
        course.kitchen.tripwire.accept()


def test_the_trap_would_spring(course: Course) -> None:
    """The films outside do hold the canary, also behind a transcode: finding none is no accident."""
    copied = course.commands.folder / "leaked.mp4"
    course.kitchen.ffmpeg("-i", course.kitchen.outside / "secret.mp4", copied)
    assert course.kitchen.canary.encode() in copied.read_bytes()


def test_what_a_program_reads_is_json_and_what_is_read_at_a_terminal_is_harmless(course: Course) -> None:
    """Every answer is valid JSON, whatever the names and the engine's words; nothing has an escape sequence."""
    for where, text in course.texts.items():
        if where.startswith("/jobs"):
            json.loads(text)
        assert "\x1b" not in text, where


def test_only_what_completed_is_there(course: Course) -> None:
    """A failed job publishes nothing; a completed one just what it says."""
    results = [seen.body["result"]["output"] for seen in course.outcomes.values() if seen.answer.status == "completed"]
    there = [str(path.relative_to(course.kitchen.root)) for path in (course.kitchen.root / "outputs").iterdir()]
    assert sorted(results) == sorted(there)
