"""One engine process: started in a group of its own, read, watched, stopped and ended as a group, always reaped.

CPU seconds come from ``os.wait4`` on the very child, so they are the kernel's own sum over all its threads and
whatever it waited for, and jobs that run side by side do not mix. For that the process is started with ``Popen`` and
its end seen through a pidfd; asyncio's own subprocesses reap the child without keeping its usage.

The event loop must run in a thread that lives as long as the worker (its main thread): Linux sends the parent-death
signal when the *thread* that started the child ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import IO, Literal

import msgspec
import structlog

from reelmill.domain.failure import Failure
from reelmill.media.failed import AttemptFailed
from reelmill.worker.confinement import ONLY_THE_USUAL, Confinement
from reelmill.worker.engine_output import BoundedText, GaveUp, LineSplitter
from reelmill.worker.machine import find_program
from reelmill.worker.run_clock import RunClock

log = structlog.get_logger()

ASK_SECONDS = 10.0
"""How long a program may take to say what it is."""

HANG_SECONDS = 60.0
_PATIENCE = 10
"""How many times longer an engine may go without progress while it uses CPU: encoders with a long lookahead fill it
before they say anything, and a slow machine may need minutes for that."""
_BUSY_SHARE = 0.05
_PIPE_GRACE = 1.0
_LEAST_WAIT = 0.05
_LAST_WORDS_SECONDS = 1.0
_PREPARATION_WAIT = 0.01

_INHERITED = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "LIBVA_DRIVER_NAME"),
    *("GST_PLUGIN_PATH", "GST_PLUGIN_SYSTEM_PATH", "GST_REGISTRY", "LIBVA_DRIVERS_PATH"),
)

Ending = Literal["exited", "killed", "hung", "timed_out", "gave_up"]


class Exit(msgspec.Struct, frozen=True):
    """How a process ended. ``code`` is its exit status, negative for a signal; ``cpu_seconds`` is user plus system.

    ``wall_seconds`` is without the time for which it stood still.
    """

    code: int
    stderr: str
    cpu_seconds: float
    wall_seconds: float
    ending: Ending

    def then(self, other: Exit) -> Exit:
        """How both ended that ran one after the other: the last one's words, the time of both."""
        return msgspec.structs.replace(
            other,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            wall_seconds=self.wall_seconds + other.wall_seconds,
        )

    @property
    def failure(self) -> Failure | None:
        """What a watchdog's verdict means for the job; None when the engine itself must explain its exit."""
        return _VERDICTS.get(self.ending)


_VERDICTS: dict[Ending, Failure] = {
    "hung": Failure(
        "timeout",
        "engine_hung",
        "The engine stopped making progress and was ended; if it happens again, look at the input and the disk.",
    ),
    "timed_out": Failure(
        "timeout",
        "job_timed_out",
        "The job took longer than its timeout; give it a longer one, or a cheaper scenario.",
    ),
}


def environment() -> dict[str, str]:
    """The only variables an engine sees: no credentials of the worker, and messages in English for the error table."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8", "SVT_LOG": "2"}


def ask(program: Path, *arguments: str) -> str | None:
    """What an engine's program says of itself on stdout; None when it fails, or takes too long. Blocks."""
    argv = [program, *arguments]
    try:
        answer = subprocess.run(
            argv, capture_output=True, text=True, timeout=ASK_SECONDS, env=environment(), check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None


@functools.cache
def _setpriv() -> str | None:
    found = find_program("setpriv")
    if found is not None:
        path = str(found)
        # BusyBox has a setpriv without this option, with which no engine would start.
        trial = subprocess.run([path, "--pdeathsig", "KILL", "--", "true"], capture_output=True, check=False)
        if trial.returncode == 0:
            return path
    log.warning("no_setpriv", effect="engines may outlive a killed worker; install util-linux's setpriv")
    return None


# The parent may die before setpriv has asked for the signal, which then never comes: so look once more after it.
_UNLESS_ORPHANED = 'parent=$1; shift; [ "$PPID" = "$parent" ] || exit 125; exec "$@"'


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """``argv`` made to be killed when this process dies, however it dies; unchanged where the system cannot do it."""
    setpriv = _setpriv()
    if setpriv is None:
        return list(argv)
    shell = ["/bin/sh", "-c", _UNLESS_ORPHANED, "sh", str(os.getpid())]
    return [setpriv, "--pdeathsig", "KILL", "--", *shell, *argv]


MakeProcess = Callable[[list[str], Callable[[str], bool]], "EngineProcess"]
"""Makes the process of an argv, and of what hears the lines of its stdout."""


class EngineProcess:
    """One run of an engine. ``on_line`` gets each line of stdout and returns whether the engine got further by it;
    GaveUp from it gives the engine a moment to end. ``on_words`` gets stderr as it comes and
    returns what of it is kept. ``on_end`` hears how it ended, also when nobody waits for that any more.

    ``hang_seconds`` without getting further, or ``timeout`` seconds in all, end the run; the time between `pause` and
    `resume` counts for neither. It takes no more than ``confinement`` lets it. An object runs once.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        on_line: Callable[[str], bool] = lambda line: True,
        on_words: Callable[[bytes], bytes] = lambda words: words,
        cwd: Path | None = None,
        hang_seconds: float = HANG_SECONDS,
        timeout: float | None = None,
        confinement: Confinement = ONLY_THE_USUAL,
        on_end: Callable[[Exit], None] = lambda ended: None,
    ) -> None:
        self._argv = list(argv)
        self._on_line = on_line
        self._on_words = on_words
        self._cwd = cwd
        self._hang_seconds = hang_seconds
        self._timeout = timeout
        self._confinement = confinement
        self._on_end = on_end
        self._popen: subprocess.Popen[bytes] | None = None
        self._clock = RunClock()
        self._ending: Ending = "exited"
        self._last_move = 0.0
        self._cpu_at_move = 0.0
        self._broken: Exception | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, which is its group's too; None before the start and after the end."""
        return self._popen.pid if self._popen is not None and self._popen.returncode is None else None

    @property
    def stretch(self) -> float:
        """What an engine that measures its own pace by the wall's clock has to be multiplied with, after pauses."""
        return self._clock.stretch()

    def kill(self) -> None:
        """End the whole group at once; harmless when it has ended. ``run`` returns soon after, as ``killed``."""
        self._end("killed")

    def interrupt(self) -> None:
        """Ask the engine to bring its output to an end here, as Ctrl-C does; harmless when it has ended."""
        self._signal_group(signal.SIGINT)

    def pause(self) -> None:
        """Let the whole group stand still until `resume`, also when it starts only later. It can still be killed."""
        self._clock.stop()
        self._stop_group()

    def resume(self) -> None:
        """Let the group go on; harmless when it does."""
        self._clock.go_on()
        self._signal_group(signal.SIGCONT)

    async def run(self) -> Exit:
        """Run to the end and return how it ended; AttemptFailed when it cannot be started.

        When the waiting task is cancelled, the group is killed and reaped before CancelledError goes on.
        """
        work = asyncio.create_task(self._run(), name="engine")
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self.kill()
            while not work.done():
                with contextlib.suppress(asyncio.CancelledError):  # an orphan would be worse than a late end
                    await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # it is known now; without this the loop complains that nobody asked
            raise

    async def _run(self) -> Exit:
        started = self._last_move = self._clock.seconds()
        popen = self._popen = self._spawn()
        self._stop_group()
        errors, lines = BoundedText(), LineSplitter(self._take_line)

        def hear(words: bytes) -> None:
            errors.feed(self._on_words(words))

        pipes: list[_Pipe] = []
        try:
            pipes += [await _Pipe.read(popen.stdout, lines.feed), await _Pipe.read(popen.stderr, hear)]
            async with _ended(popen.pid) as ended:
                await self._watch(ended, None if self._timeout is None else started + self._timeout)
            self._signal_group(signal.SIGKILL)  # whoever it left behind also holds the pipes open
            await asyncio.wait([pipe.closed for pipe in pipes], timeout=_PIPE_GRACE)
        finally:
            code, cpu_seconds = self._reap(popen)
            for pipe in pipes:
                pipe.transport.close()
        ended = Exit(code, errors.text(), cpu_seconds, self._clock.seconds() - started, self._ending)
        self._on_end(ended)
        if self._broken is not None:
            raise self._broken
        return ended

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = self._argv[0]
        if not os.access(program, os.X_OK):  # the shell in between would only say 127
            raise AttemptFailed(_not_started(f"{program} is missing or may not be run"))
        try:
            return subprocess.Popen(
                die_with_parent(self._confinement.confine(self._argv)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                cwd=self._cwd,
                env=environment(),
            )
        except OSError as error:
            raise AttemptFailed(_not_started(error.strerror or str(error))) from error

    async def _watch(self, ended: asyncio.Future[None], deadline: float | None) -> None:
        while not ended.done():
            now = self._clock.seconds()
            quiet_until = self._last_move + self._hang_seconds
            if deadline is not None and now >= deadline:
                self._end("timed_out")
            elif now >= quiet_until:
                if not self._is_busy(now):
                    self._end("hung")
                quiet_until = now + self._hang_seconds
            wake = quiet_until if deadline is None else min(quiet_until, deadline)
            # While the engine stands still, so does this clock: the wait ends too early, and is begun again.
            patience = None if self._ending != "exited" else max(_LEAST_WAIT, wake - now)
            await asyncio.wait([ended], timeout=patience)

    def _is_busy(self, now: float) -> bool:
        quiet = now - self._last_move
        used = _cpu_seconds_so_far(self.pid) - self._cpu_at_move
        return used > _BUSY_SHARE * quiet and quiet < _PATIENCE * self._hang_seconds

    def _take_line(self, line: str) -> None:
        if self._broken is not None:
            return
        try:
            moved = self._on_line(line)
        except GaveUp:
            asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self._end, "gave_up")
            return
        except Exception as error:  # must not be lost in the event loop's own handler
            self._broken = error
            self.kill()
            return
        if moved:
            self._last_move = self._clock.seconds()
            self._cpu_at_move = _cpu_seconds_so_far(self.pid)

    def _end(self, ending: Ending) -> None:
        if self.pid is not None and self._ending == "exited":
            self._ending = ending
            self._signal_group(signal.SIGKILL)

    def _stop_group(self) -> None:
        if not self._clock.stands or self.pid is None:
            return
        if _dies_with_parent(self.pid, self._argv[0]):
            self._signal_group(signal.SIGSTOP)
        else:
            asyncio.get_running_loop().call_later(_PREPARATION_WAIT, self._stop_group)

    def _signal_group(self, number: signal.Signals) -> None:
        # The group's number cannot be another's: its leader, dead or alive, is not reaped yet.
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _reap(self, popen: subprocess.Popen[bytes]) -> tuple[int, float]:
        self._signal_group(signal.SIGKILL)
        _, status, usage = os.wait4(popen.pid, 0)  # blocks only when the loop itself is being torn down
        popen.returncode = os.waitstatus_to_exitcode(status)
        return popen.returncode, usage.ru_utime + usage.ru_stime


class _Pipe(asyncio.Protocol):
    """Reads a pipe all the time, so that the engine never waits for us."""

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport

    @classmethod
    async def read(cls, pipe: IO[bytes] | None, feed: Callable[[bytes], None]) -> _Pipe:
        protocol = cls(feed)
        protocol.transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        return protocol

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


@contextlib.asynccontextmanager
async def _ended(pid: int) -> AsyncGenerator[asyncio.Future[None]]:
    """A future that is done when the process has ended; it is left for ``wait4`` to reap."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    pidfd = os.pidfd_open(pid)

    def readable() -> None:
        loop.remove_reader(pidfd)
        if not future.done():
            future.set_result(None)

    loop.add_reader(pidfd, readable)
    try:
        yield future
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _dies_with_parent(pid: int, program: str) -> bool:
    """Whether it has asked for that already: stopped before it has, it would outlive a killed worker for ever."""
    word = _first_word(pid)
    # A fresh child shows our own command line, then none, then setpriv's; whatever comes behind that has asked.
    return word == os.fsencode(program) or word not in (b"", _first_word(os.getpid()), os.fsencode(_setpriv() or ""))


def _first_word(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return b""


def _cpu_seconds_so_far(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _not_started(why: str) -> Failure:
    message = f"The engine could not be started: {why}; `reelmill doctor` shows what this node has."
    return Failure("platform_error", "engine_not_started", message)
