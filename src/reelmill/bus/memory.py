"""The bus of a farm that is one process: handlers run as tasks of the same event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from reelmill.bus.protocol import Bus, Handler, Listener, Subscription
from reelmill.errors import ReelmillError

log = structlog.get_logger()


class _Registration:
    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove = remove

    async def close(self) -> None:
        with contextlib.suppress(ValueError):  # closed before
            self._remove()


class MemoryBus(Bus):
    """Delivers within the process. Nothing is kept: a word that nobody waits for is gone."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next = 0

    async def start(self) -> None:
        """Nothing to prepare."""

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def request(self, subject: str, word: bytes, timeout_seconds: float) -> bytes | None:
        handlers = self._handlers[subject]
        if not handlers:
            return None
        self._next += 1
        task = self._spawn(handlers[self._next % len(handlers)](word, None), subject)
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
        # A late handler goes on, as it would on another machine: its answer is lost, not its work.
        if not done or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def publish(self, subject: str, word: bytes) -> None:
        for listener in self._listeners[subject]:
            self._spawn(listener(word, None), subject)

    async def answer(self, subject: str, handler: Handler) -> Subscription:
        self._handlers[subject].append(handler)
        return _Registration(lambda: self._handlers[subject].remove(handler))

    async def listen(self, subject: str, listener: Listener) -> Subscription:
        self._listeners[subject].append(listener)
        return _Registration(lambda: self._listeners[subject].remove(listener))

    def _spawn(self, work: Coroutine[Any, Any, Any] | Any, subject: str) -> asyncio.Task[Any]:
        async def run() -> Any:
            try:
                return await work
            except ReelmillError as error:
                log.warning("handler_failed", subject=subject, reason=str(error))
                raise
            except Exception:
                log.exception("handler_failed", subject=subject)
                raise

        task = asyncio.create_task(run(), name=f"bus:{subject}")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it was logged where it happened
