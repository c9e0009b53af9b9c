"""An event loop whose time only moves when nothing is left to do, and processes in it that can die and freeze.

A process is a context: whatever is started in it, and whatever that starts, belongs to it. When it is dead none of that
runs any more, in the middle of whatever it was; while it is frozen all of it waits, as behind a SIGSTOP.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from reelmill.errors import ReelmillError

T = TypeVar("T")

_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Deadlock(Exception):
    """Nothing will ever happen again, and somebody still waits."""


class Process:
    """One program of the farm. ``awake_since`` is when it last began to run, on the loop's clock."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_frozen = False
        self.awake_since = loop.time()
        self._loop = loop
        self._parked: list[tuple[_Gated, tuple[Any, ...]]] = []
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let the process do something; the task never ends when the process dies before."""
        return self._loop.create_task(work, context=self.context)

    def kill(self) -> None:
        """Like SIGKILL: not one more line of it runs."""
        self.is_dead = True
        self._parked.clear()

    def freeze(self) -> None:
        """Like SIGSTOP."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Like SIGCONT: first comes what has piled up."""
        if not self.is_frozen:
            return
        self.is_frozen = False
        self.awake_since = self._loop.time()
        parked, self._parked = self._parked, []
        for gated, arguments in parked:
            asyncio.BaseEventLoop.call_soon(self._loop, gated, *arguments, context=gated.context)

    def park(self, gated: _Gated, arguments: tuple[Any, ...]) -> None:
        """Keep a callback until it thaws."""
        self._parked.append((gated, arguments))


def current_process() -> Process:
    """The process that the running code belongs to."""
    process = _process.get()
    assert process is not None, "only for what a process does"
    return process


class _Gated:
    """A callback of a process: it runs if the process does."""

    __slots__ = ("callback", "context", "handle", "process")

    def __init__(self, process: Process, callback: Callable[..., object], context: contextvars.Context) -> None:
        self.process = process
        self.callback = callback
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self, *arguments: Any) -> None:
        if self.process.is_dead or (self.handle is not None and self.handle.cancelled()):
            return
        if self.process.is_frozen:
            self.process.park(self, arguments)
        else:
            self.callback(*arguments)


class _Time:
    """Stands where a loop has its selector: there is no input but time, and waiting moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Deadlock
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Threads take a moment of virtual time and run in this one, so that every run of a seed is the same."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._selector = self._time = _Time()
        self._rng = rng
        self._tasks: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_failure)
        self.failures: list[str] = []
        """Exceptions that nobody asked for, but for the refusals that are part of the game."""

    def time(self) -> float:
        return self._time.now

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **how)
        self._tasks.append(task)  # or the end of a dead process's task would run what the process never did
        return task

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        process = context.get(_process)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        gated = _Gated(process, callback, context)
        gated.handle = super().call_soon(gated, *args, context=context)
        return gated.handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        process = context.get(_process)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        gated = _Gated(process, callback, context)
        handle = super().call_at(when, gated, *args, context=context)
        gated.handle = handle
        return handle

    def call_soon_threadsafe(
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()

        def run() -> None:
            try:
                value = func(*args)
            except Exception as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(value)

        self.call_later(self._rng.random() * 0.02, run)
        return done

    def _note_failure(self, loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        error = told.get("exception")
        if not isinstance(error, ReelmillError):
            self.failures.append(f"{told.get('message')}: {error!r}")

    def bury(self) -> None:
        """Close the loop and everything that never ended."""
        self.close()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.clear()
