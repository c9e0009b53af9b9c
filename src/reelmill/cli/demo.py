"""`reelmill demo`: a farm, a launch and a check of every output, with the commands that anyone would type."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.master_client import call_master
from reelmill.errors import ReelmillError, StartupError

if TYPE_CHECKING:
    from reelmill.launcher.client import MasterClient

_STOP_SECONDS = 60


def demo(
    count: Annotated[int, typer.Option(min=1, help="How many transcodes.")] = 1000,
    scenario: Annotated[str, typer.Option(help="What to encode.")] = "480p30-h264",
    duration: Annotated[str, typer.Option(help="How much media each job encodes.")] = "0.5s",
    port: Annotated[int, typer.Option(help="Port of the farm; 0 takes a free one.")] = 8080,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the farm's files here.", show_default="a temporary one")
    ] = None,
) -> None:
    """Start a farm, launch transcodes, show them live, verify every output, and leave nothing running."""
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reelmill-demo-")))
        url = stack.enter_context(_farm(place.absolute(), port))
        typer.echo(f"Live page: {url}\n", err=True)
        results = place / "job_launch_results.json"
        options = ["--count", str(count), "--scenario", scenario, "--duration", duration, "--wait"]
        status = _run("launch", "--master", url, *options, "--output", str(results))
        if status != 0:
            raise typer.Exit(status)
        verified = _verify(url, place.absolute() / "media")
        typer.echo(f"{verified} of {count} outputs are in place with the SHA-256 that the farm recorded")
        if verified != count:
            raise ReelmillError(f"{count - verified} outputs are missing or differ; this is a bug of reelmill")


@contextlib.contextmanager
def _farm(place: Path, port: int) -> Generator[str, None, None]:
    """A farm of its own in another process; its URL."""
    arguments = ["up", "--port", str(port), "--data", str(place / "data"), "--media", str(place / "media")]
    _show(arguments)
    # A session of its own: Ctrl-C at the terminal is for us, and we stop the farm.
    farm = subprocess.Popen([*_reelmill(), *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield _url_of(farm.stdout)
    finally:
        # Twice: give back what still runs, instead of finishing it for nobody.
        for _ in range(2):
            with contextlib.suppress(ProcessLookupError):
                farm.send_signal(signal.SIGTERM)
        farm.wait(_STOP_SECONDS)


def _url_of(words: IO[str] | None) -> str:
    line = words.readline() if words is not None else ""
    if "http" not in line:
        raise StartupError("the farm did not start; its message is above")
    typer.echo(line.rstrip(), err=True)
    return line.split()[-1]


def _reelmill() -> list[str]:
    return [sys.executable, "-m", "reelmill.cli"]


def _run(*arguments: str) -> int:
    _show(arguments)
    child = subprocess.Popen([*_reelmill(), *arguments], env=os.environ)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the launch got it too, and ends by itself
            continue


def _show(arguments: tuple[str, ...] | list[str]) -> None:
    typer.echo(f"$ reelmill {shlex.join(arguments)}", err=True)


def _verify(url: str, media: Path) -> int:
    """How many completed jobs have their output in place, with the recorded size and hash."""

    async def work(client: MasterClient) -> list[dict[str, Any]]:
        return (await client.get("/jobs", params={"status": "completed", "fields": "id,result"}))["jobs"]

    return sum(_is_in_place(media, job["result"]) for job in call_master(url, work))


def _is_in_place(media: Path, result: dict[str, Any]) -> bool:
    try:
        content = (media / result["output"]).read_bytes()
    except OSError:
        return False
    return (len(content), hashlib.sha256(content).hexdigest()) == (result["size_bytes"], result["sha256"])
