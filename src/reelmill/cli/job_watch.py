"""`reelmill jobs watch`: follow one job to its end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelmill.cli.launches import EXIT_INTERRUPTED, EXIT_SOME_FAILED, run_until_interrupted
from reelmill.cli.master_client import MasterOption, job_path
from reelmill.cli.output import Format, FormatOption, say, show_record
from reelmill.errors import InvalidField

if TYPE_CHECKING:
    from rich.progress import Progress

    from reelmill.launcher.client import MasterClient
    from reelmill.launcher.job_watch import Screen

_LINE_SECONDS = 3.0


def watch_job(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id or sequence number.")],
    logs: Annotated[bool, typer.Option("--logs", help="Also show what its engine says.")] = False,
    output: FormatOption = Format.TABLE,
    master: MasterOption = None,
) -> None:
    """Follow a job to its end: its states and its progress; exit 3 when it did not complete.

    Ctrl-C ends the watching, not the job. With -o json or ndjson each event is one line of JSON.
    """
    if output is Format.CSV:
        raise InvalidField("--output", "what happens to a job is no table; give json or ndjson, or nothing")

    async def work(client: MasterClient) -> dict[str, Any]:
        from reelmill.launcher.job_watch import watch_job

        with _screen(output) as screen:
            return await watch_job(client, job_path(job), screen, logs=logs)

    ended = run_until_interrupted(master, work)
    if ended is None:
        typer.echo(f"the job goes on; come back with: reelmill jobs watch {job}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if ended["status"] != "completed":
        raise typer.Exit(EXIT_SOME_FAILED)


@contextlib.contextmanager
def _screen(output: Format) -> Generator[Screen, None, None]:
    from reelmill.launcher.progress import is_terminal

    if output is not Format.TABLE:
        yield _Records()
    elif not is_terminal(sys.stdout):
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        text = TextColumn("{task.fields[text]}", markup=False)
        console = Console(file=sys.stdout, highlight=False)
        with Progress(TextColumn("{task.percentage:>3.0f}%"), BarColumn(), text, console=console) as progress:
            yield _Bar(progress)


class _Records:
    """Each event as a line of JSON, for programs."""

    def show(self, kind: str, data: dict[str, Any]) -> None:
        show_record({"event": kind, **data}, Format.NDJSON)
        sys.stdout.flush()

    def note(self, line: str) -> None:
        typer.echo(line, err=True)


class _Lines:
    """Plain lines; of progress one now and then."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._state: str | None = None

    def show(self, kind: str, data: dict[str, Any]) -> None:
        import time

        if kind == "progress":
            stream: dict[str, Any] = data.get("stream") or {}
            state: str | None = stream.get("state")
            if state == self._state and time.monotonic() - self._shown_at < _LINE_SECONDS:
                return
            self._shown_at, self._state = time.monotonic(), state
            say(f"{data['sequence_number']} {data['progress']:.0f}%, {describe_pace(data)}".removesuffix(", "))
        for line in describe(kind, data):
            say(line)

    def note(self, line: str) -> None:
        typer.echo(line, err=True)


class _Bar:
    """A bar that moves, below lines that stay."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=100, text="")

    def show(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "progress":
            self._progress.update(self._task, completed=data["progress"], text=describe_pace(data))
        elif kind in ("transition", "job"):
            text = data["status"] if kind == "job" else data["to_status"]
            done = 100 if text == "completed" else data.get("progress", 0)
            self._progress.update(self._task, completed=done, text=text)
        for line in describe(kind, data):
            self.note(line)

    def note(self, line: str) -> None:
        from rich.text import Text

        from reelmill.launcher.plain_text import showable

        self._progress.console.print(Text(showable(line)), soft_wrap=True)


def describe(kind: str, data: dict[str, Any]) -> list[str]:
    """The lines that stay of an event."""
    from reelmill.domain.job import TERMINAL

    number = data["sequence_number"]
    if kind == "job":
        return [f"{number} {data['status']}" + (f": {data['error']}" if data["error"] else "")]
    if kind == "log":
        more = [f"{number} | ... {data['left_out']:,} more lines"] if data["left_out"] else []
        return [*(f"{number} | {line}" for line in data["lines"]), *more]
    if kind != "transition" or data["to_status"] in TERMINAL:  # the job itself follows, with what went wrong
        return []
    place = f" on {data['node_name']}, attempt {data['attempt']}" if data["node_name"] else ""
    return [f"{number} {data['to_status']}{place}" + (f": {data['reason']}" if data["reason"] else "")]


def describe_pace(data: dict[str, Any]) -> str:
    """``"212 fps, 3.5x, 12 s left"``, and how its stream does: what is known of it."""
    from reelmill.launcher.progress import format_seconds

    fps, speed, left = data["fps"], data["speed"], data["eta"]
    parts = [
        f"{fps:.0f} fps" if fps is not None else "",
        f"{speed:.3g}x" if speed is not None else "",
        f"{format_seconds(left)} left" if left is not None else "",
        _describe_stream(data.get("stream")),
    ]
    return ", ".join(part for part in parts if part)


def _describe_stream(stream: dict[str, Any] | None) -> str:
    if stream is None:
        return ""
    import msgspec

    from reelmill.domain.stream import StreamProgress

    return msgspec.convert(stream, StreamProgress).describe()
