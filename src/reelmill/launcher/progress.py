"""What a launch says while it works, to stderr: a bar that moves on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO, cast

from reelmill.launcher.plain_text import showable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Level = Literal["debug", "info", "warning"]
LINE_SECONDS = 3.0
_NARROW = 60


class Bar(Protocol):
    """One task under way."""

    def show(self, done: int, detail: str = "", pace: str | None = None) -> None:
        """Say how far the task is, and how fast it goes when the caller knows better than the mean so far."""
        ...


class Display(Protocol):
    """Where words go."""

    def say(self, line: str, level: Level = "info") -> None:
        """Show a line that stays."""
        ...

    def bar(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """Show the progress of a task for the length of the block."""
        ...


def make_display(*, verbose: bool = False, stream: TextIO | None = None) -> Display:
    """The display that suits the stream (stderr): a terminal that can move its cursor, or anything else."""
    target: TextIO = stream or sys.stderr or io.StringIO()  # a process may have no stderr at all
    return (TerminalDisplay if is_terminal(target) else PlainDisplay)(target, verbose=verbose)


def is_terminal(stream: TextIO) -> bool:
    """Whether it is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


class Pace:
    """Rate and time left of a task, from its mean rate so far."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self._clock = clock
        self._start = clock()

    def describe(self, done: int) -> str:
        """``"412 jobs/s, 3 s left"``, or an empty string while nothing is known."""
        seconds = self._clock() - self._start
        if done <= 0 or seconds <= 0:
            return ""
        rate = done / seconds
        left = max(self.total - done, 0) / rate
        return f"{format_rate(rate)}, {format_seconds(left)} left"


def format_count(n: int, noun: str) -> str:
    """``"1 node"``, ``"1,200 nodes"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def format_rate(per_second: float) -> str:
    """``"412 jobs/s"``."""
    return f"{per_second:,.0f} jobs/s" if per_second >= 10 else f"{per_second:.2g} jobs/s"


def format_seconds(seconds: float) -> str:
    """``"0.21 s"``, ``"12 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def format_ms(seconds: float) -> str:
    """``"12 ms"``."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else format_seconds(seconds)


class PlainDisplay:
    """Lines of text, for a log or a pipe."""

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        every: float = LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._every = every
        self._clock = clock

    def say(self, line: str, level: Level = "info") -> None:
        if level != "debug" or self._verbose:
            prefix = "warning: " if level == "warning" else ""
            with contextlib.suppress(OSError):  # a closed terminal is no reason to lose the results
                self._stream.write(f"{prefix}{showable(line)}\n")
                self._stream.flush()

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Generator[Bar, None, None]:
        yield _PlainBar(self, title, Pace(total, self._clock), self._every, self._clock)


class _PlainBar:
    def __init__(self, display: PlainDisplay, title: str, pace: Pace, every: float, clock: Callable[[], float]) -> None:
        self._display = display
        self._title = title
        self._pace = pace
        self._every = every
        self._clock = clock
        self._last = clock()

    def show(self, done: int, detail: str = "", pace: str | None = None) -> None:
        now = self._clock()
        if now - self._last < self._every:
            return
        self._last = now
        pace = self._pace.describe(done) if pace is None else pace
        parts = [f"{self._title} {done:,} of {self._pace.total:,}", pace, detail]
        self._display.say(", ".join(part for part in parts if part))


class _LastingStream:
    """A terminal that may be closed at any time: what is written to it then is lost, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class TerminalDisplay:
    """A rich progress bar, with lines that stay above it."""

    def __init__(self, stream: TextIO, *, verbose: bool = False, width: int | None = None) -> None:
        from rich.console import Console

        lasting = cast("TextIO", _LastingStream(stream))
        self._console = Console(file=lasting, width=width, force_terminal=True, highlight=False)
        self._verbose = verbose

    def say(self, line: str, level: Level = "info") -> None:
        from rich.text import Text

        if level == "debug" and not self._verbose:
            return
        line = showable(line)
        text = Text(line, style="dim" if level == "debug" else "")
        if level == "warning":
            text = Text("warning: ", style="bold yellow").append(line, style="not bold default")
        self._console.print(text, soft_wrap=True)

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Generator[Bar, None, None]:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column
        from rich.text import Text

        pace = Pace(total)
        text = TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        narrow = self._console.width < _NARROW
        columns = [text] if narrow else [TextColumn(title, markup=False), BarColumn(bar_width=20), text]
        below = Text(no_wrap=True, overflow="ellipsis", style="dim")

        class WithDetail(Progress):
            def get_renderables(self) -> Iterable[RenderableType]:
                yield self.make_tasks_table(self.tasks)
                if below.plain:
                    yield below

        with WithDetail(*columns, console=self._console, refresh_per_second=5) as progress:
            yield _TerminalBar(progress.add_task(title, total=total, text=""), progress.update, below, pace)


class _TerminalBar:
    """The bar, and the detail in a line below it: both are cut at the edge, and the bar alone keeps its place."""

    def __init__(self, task: int, update: Callable[..., None], below: Text, pace: Pace) -> None:
        self._task = task
        self._update = update
        self._below = below
        self._pace = pace

    def show(self, done: int, detail: str = "", pace: str | None = None) -> None:
        share = 100 * done // self._pace.total if self._pace.total else 100
        pace = self._pace.describe(done) if pace is None else pace
        self._below.plain = detail
        self._update(
            self._task, completed=done, text=f"{share}% {done:,}/{self._pace.total:,}" + (pace and f", {pace}")
        )
