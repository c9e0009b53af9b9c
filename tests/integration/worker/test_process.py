"""One engine process: whatever happens, it ends with its whole group and is reaped. On asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from reelmill.media.failed import AttemptFailed
from reelmill.worker.process import EngineProcess, Exit, die_with_parent

Run = Callable[[Coroutine[Any, Any, Any]], Any]
SHELL = "/bin/sh"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on one kind of event loop."""
    return request.param


def has_ended(pid: int, seconds: float = 10) -> bool:
    """Waits until the process has ended, be it a zombie of somebody else's."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)


async def run_shell(script: str, **options: Any) -> tuple[Exit, list[str]]:
    lines: list[str] = []
    process = EngineProcess([SHELL, "-c", script], on_line=lambda line: lines.append(line) is None, **options)
    return await process.run(), lines


def test_exit_output_and_messages_come_back(run: Run) -> None:
    """The exit code, each line of stdout and the text of stderr are handed over."""
    end, lines = run(run_shell("echo one; echo two; echo oops >&2; exit 7"))
    assert (end.code, end.ending, end.stderr, lines) == (7, "exited", "oops\n", ["one", "two"])


def test_a_signal_is_a_negative_code(run: Run) -> None:
    """An engine that crashes is told from one that fails."""
    end, _ = run(run_shell("kill -SEGV $$"))
    assert (end.code, end.ending) == (-signal.SIGSEGV, "exited")


def test_a_flood_of_messages_neither_stops_the_engine_nor_fills_memory(run: Run) -> None:
    """stderr is read all the time; 20 MB of it leave a head, a tail and a count."""
    end, _ = run(run_shell("echo first >&2; yes warning | head -c 20000000 >&2; echo last >&2"))
    assert end.code == 0
    assert end.stderr.startswith("first")
    assert end.stderr.endswith("last\n")
    assert "bytes left out" in end.stderr
    assert len(end.stderr) < 66 * 1024


def test_cpu_seconds_are_the_childs_own(run: Run) -> None:
    """Jobs side by side do not mix their CPU time, and threads and waited-for children count."""
    burn = "import time\nwhile time.process_time() < 0.3: pass"

    async def both() -> tuple[Exit, Exit]:
        busy = EngineProcess([SHELL, "-c", '"$0" -c "$1"; true', sys.executable, burn])
        idle = EngineProcess(["/bin/sleep", "0.3"])
        return await asyncio.gather(busy.run(), idle.run())

    busy, idle = run(both())
    assert 0.3 <= busy.cpu_seconds < 1.0
    assert idle.cpu_seconds < 0.1
    assert idle.wall_seconds >= 0.3


def test_an_engine_without_progress_is_ended(run: Run) -> None:
    """One that sleeps for longer than allowed is hung, whatever it prints, and SIGTERM ignored or not."""

    async def hang() -> Exit:
        script = "trap '' TERM; while :; do echo frame=1; sleep 0.05; done"
        return await EngineProcess([SHELL, "-c", script], on_line=lambda line: False, hang_seconds=0.5).run()

    end = run(hang())
    assert (end.code, end.ending) == (-signal.SIGKILL, "hung")
    assert end.failure is not None
    assert (end.failure.reason, end.failure.code) == ("timeout", "engine_hung")


def test_an_engine_that_computes_is_not_hung_at_once(run: Run) -> None:
    """A long lookahead is silent work; it gets more time than a sleeper."""
    burn = "import time\nwhile time.process_time() < 0.8: pass"
    end = run(EngineProcess([sys.executable, "-c", burn], hang_seconds=0.3).run())
    assert (end.code, end.ending) == (0, "exited")


def test_a_job_has_no_more_time_than_its_timeout(run: Run) -> None:
    """Progress does not help against the timeout."""
    end, _ = run(run_shell("while :; do echo x; sleep 0.05; done", timeout=0.4))
    assert (end.code, end.ending) == (-signal.SIGKILL, "timed_out")
    assert end.failure is not None
    assert end.failure.code == "job_timed_out"


def test_a_kill_takes_the_whole_group_however_stubborn(run: Run) -> None:
    """A leader that ignores SIGTERM and its children in the same group are gone when `run` returns."""

    async def scenario() -> tuple[Exit, list[int]]:
        pids: list[int] = []

        def on_line(line: str) -> bool:
            pids.append(int(line))
            if len(pids) == 3:
                process.kill()
            return True

        script = "trap '' TERM; sleep 100 & echo $!; sleep 100 & echo $!; echo $$; wait; sleep 100"
        process = EngineProcess([SHELL, "-c", script], on_line=on_line)
        return await process.run(), pids

    end, pids = run(scenario())
    assert (end.code, end.ending) == (-signal.SIGKILL, "killed")
    assert all(has_ended(pid) for pid in pids)


def test_what_an_engine_leaves_behind_goes_with_it(run: Run) -> None:
    """A child that outlives its leader holds the pipes open; it is ended, and the exit is the leader's."""
    end, lines = run(run_shell("sleep 100 & echo $!; exit 3"))
    assert (end.code, end.ending) == (3, "exited")
    assert end.wall_seconds < 5
    assert has_ended(int(lines[0]))


def test_cancelling_kills_and_reaps_before_it_returns(run: Run) -> None:
    """When CancelledError comes out, nothing of the engine is left, however often it was cancelled."""

    async def scenario() -> int:
        started = asyncio.Event()
        process = EngineProcess([SHELL, "-c", "echo; sleep 100"], on_line=lambda line: started.set() is None)
        task = asyncio.create_task(process.run())
        await started.wait()
        pid = process.pid
        assert pid is not None
        task.cancel()
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.pid is None
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(run(scenario()), 0)


def test_an_error_in_the_line_handler_ends_the_engine_and_comes_out(run: Run) -> None:
    """A bug of ours is seen, and leaves no engine behind."""

    def broken(line: str) -> bool:
        raise KeyError(line)

    with pytest.raises(KeyError):
        run(EngineProcess([SHELL, "-c", "echo x; sleep 100"], on_line=broken).run())


def test_a_missing_program_is_a_named_failure(run: Run) -> None:
    """The job fails with a sentence, not with a traceback."""
    with pytest.raises(AttemptFailed) as caught:
        run(EngineProcess(["/nowhere/ffmpeg"]).run())
    assert caught.value.failure.code == "engine_not_started"


def test_an_engine_sees_nothing_of_the_workers_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only listed variables are passed on."""
    monkeypatch.setenv("REELMILL_TOKEN", "secret")
    _, lines = run(run_shell("env"))
    assert not [line for line in lines if "secret" in line]


def test_many_at_once_do_not_mix(run: Run) -> None:
    """Forty processes side by side each give their own exit and output."""

    async def many() -> list[tuple[Exit, list[str]]]:
        return await asyncio.gather(*(run_shell(f"echo {n}; exit {n}") for n in range(40)))

    assert [(end.code, lines) for end, lines in run(many())] == [(n, [str(n)]) for n in range(40)]


WORKER = """
import asyncio, uvloop
from reelmill.worker.process import EngineProcess
script = "trap '' TERM PIPE; echo $$; while :; do sleep 1; done"
say = lambda line: print(line, flush=True) is None
uvloop.run(EngineProcess(["/bin/sh", "-c", script], on_line=say).run())
"""


def test_kill_9_of_the_worker_kills_its_engine() -> None:
    """P6: an engine does not outlive its worker, however the worker dies."""
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        engine = int(worker.stdout.readline())
        assert Path(f"/proc/{engine}").exists()
        worker.kill()
        assert has_ended(engine)


def test_an_engine_whose_worker_died_while_it_started_does_not_run() -> None:
    """The parent's death before the signal was asked for is noticed too."""
    argv = die_with_parent(["/bin/echo", "ran"])
    ours, other = str(os.getpid()), "1"
    alive = subprocess.run(argv, capture_output=True, check=False)
    orphaned = subprocess.run([other if word == ours else word for word in argv], capture_output=True, check=False)
    assert (alive.stdout, orphaned.stdout, orphaned.returncode) == (b"ran\n", b"", 125)
