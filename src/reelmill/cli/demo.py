"""`reelmill demo`: a farm, a launch and a check of every output, with the commands that anyone would type."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.launch_run import end_launch, run_until_stopped, show_outcome
from reelmill.cli.master_client import call_master, read_jobs
from reelmill.errors import ReelmillError, StartupError

if TYPE_CHECKING:
    import subprocess

    from reelmill.launcher.client import MasterClient

_FINISH_SECONDS = 2.0
_GIVE_BACK_SECONDS = 10.0
_PREFIX = "reelmill-demo-"
_LOCK = "demo.lock"


def demo(
    count: Annotated[str, typer.Option(metavar="N", help="How many transcodes.")] = "1000",
    scenario: Annotated[str, typer.Option(metavar="NAME", help="What to encode.")] = "480p30-h264",
    duration: Annotated[str, typer.Option(metavar="TIME", help="How much media each job encodes.")] = "0.5s",
    port: Annotated[int, typer.Option(metavar="N", help="Port of the farm; 0 takes a free one.")] = 8080,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the farm's files here.", show_default="a temporary one"),
    ] = None,
) -> None:
    """Start a farm, launch transcodes, show them live, verify every output, and leave nothing running."""
    from reelmill.launcher.options import LaunchOptions, read_plan
    from reelmill.launcher.progress import make_display

    plan = read_plan(count=count, scenario=scenario, duration=duration)  # what is wrong is told before a farm starts
    with contextlib.ExitStack() as stack:
        _stop_like_ctrl_c()
        place = folder.absolute() if folder else stack.enter_context(_temporary_folder())
        url = stack.enter_context(_farm(place, port))
        typer.echo(f"Live page: {url}\n", err=True)
        results = place / "job_launch_results.json"
        options = ["--count", count, "--scenario", scenario, "--duration", duration, "--wait"]
        _show("launch", "--master", url, *options, "--output", str(results))
        wanted = LaunchOptions(plan=plan, output=results, wait=True)
        display = make_display()
        outcome = run_until_stopped(wanted, url, display)
        _stop_like_ctrl_c()  # the launch had its own way with signals
        show_outcome(outcome, display)
        end_launch(outcome)
        verified = _verify(url, wanted.launch_id, place / "media")
        typer.echo(f"{verified:,} of {plan.count:,} outputs are in place with the SHA-256 that the farm recorded")
        if verified != plan.count:
            raise ReelmillError(f"{plan.count - verified} outputs are missing or differ; this is a bug of reelmill")


def _stop_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: with everything put away."""
    import signal

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


@contextlib.contextmanager
def _temporary_folder() -> Generator[Path, None, None]:
    """A folder for the length of the block. Those of demos that were killed are removed on the way."""
    import fcntl
    import tempfile

    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        lock = os.open(Path(name) / _LOCK, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove what killed demos of this user have left: a live one holds the lock on its folder."""
    import fcntl
    import shutil
    import time

    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            seen = (folder / _LOCK).lstat()
            if seen.st_uid != os.getuid() or time.time() - seen.st_mtime < 10:  # it may be about to take its lock
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextlib.contextmanager
def _farm(place: Path, port: int) -> Generator[str, None, None]:
    """A farm of its own in another process, which does not outlive this one however it ends; its URL."""
    import subprocess

    from reelmill.worker.process import die_with_parent

    (place / "media").mkdir(parents=True, exist_ok=True)
    arguments = ["up", "--port", str(port), "--data", str(place / "data"), "--media", str(place / "media")]
    _show(*arguments)
    argv = die_with_parent([sys.executable, "-m", "reelmill.cli", *arguments])
    # A session of its own: Ctrl-C at the terminal is for us, and we stop the farm.
    farm = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield _url_of(farm.stdout)
    finally:
        _stop(farm)


def _stop(farm: subprocess.Popen[str]) -> None:
    """End the farm: kindly, then at once, then by force. Nothing interrupts this; it takes seconds at most."""
    import signal
    import subprocess

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A second SIGTERM gives back what still runs, instead of finishing it for nobody.
    for patience in (_FINISH_SECONDS, _GIVE_BACK_SECONDS):
        farm.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            farm.wait(patience)
            break
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(farm.pid, signal.SIGKILL)
        farm.wait()
    if farm.stdout is not None:
        farm.stdout.close()


def _url_of(words: IO[str] | None) -> str:
    line = words.readline() if words is not None else ""
    if "http" not in line:
        raise StartupError("the farm did not start; its message is above")
    typer.echo(line.rstrip(), err=True)
    return line.split()[-1]


def _show(*arguments: str) -> None:
    typer.echo(f"$ reelmill {shlex.join(arguments)}", err=True)


def _verify(url: str, launch_id: str, media: Path) -> int:
    """How many completed jobs of the launch have their output in place, with the recorded size and hash."""
    params = {"launch": launch_id, "status": "completed", "fields": "id,result"}

    async def work(client: MasterClient) -> int:
        verified = 0
        async for jobs in read_jobs(client, params):
            verified += sum(_is_in_place(media, job["result"]) for job in jobs)
        return verified

    return call_master(url, work)


def _is_in_place(media: Path, result: dict[str, Any]) -> bool:
    import hashlib

    try:
        content = (media / result["output"]).read_bytes()
    except OSError:
        return False
    return (len(content), hashlib.sha256(content).hexdigest()) == (result["size_bytes"], result["sha256"])
