"""The one contract for everything that runs in the background, and the loop that most of them are."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

import structlog

from reelmill.errors import ReelmillError

log = structlog.get_logger()


FAILURE_PAUSE_SECONDS = 1.0
"""How long a service rests after a failed round, however often it is woken."""

FAILED_ROUNDS = 3
"""So many failed rounds in a row are trouble, not a hiccup."""


class Service(Protocol):
    """Something with a beginning and an end. Both calls may be repeated without harm."""

    async def start(self) -> None:
        """Return when the service is ready to do its work; raise StartupError when it cannot."""
        ...

    async def stop(self) -> None:
        """Return when nothing of the service is left running."""
        ...


class PeriodicService(Service):
    """Runs ``run_once`` every ``interval`` seconds, and sooner when woken. One failing round does not end it."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed_rounds = 0
        self._last_failure = ""

    @property
    def trouble(self) -> str | None:
        """A sentence when the last three rounds or more failed, with the reason of the last; None when all is well."""
        if self._failed_rounds < FAILED_ROUNDS:
            return None
        return f"{type(self).__name__} failed {self._failed_rounds} rounds in a row: {self._last_failure}"

    @abstractmethod
    async def run_once(self) -> object:
        """Do one round and return what it did."""

    def patience(self) -> float:
        """Seconds until the next round when nobody wakes the service."""
        return self._interval

    def wake(self) -> None:
        """Run the next round now."""
        self._wake.set()

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.patience()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.run_once()
                self._failed_rounds = 0
                continue
            except ReelmillError as error:  # a full disk, say: one line a round is enough
                self._last_failure = str(error)
                log.warning("round_failed", service=type(self).__name__, reason=str(error))
            except Exception as error:  # its text is for the log: it may hold what nobody else should read
                self._last_failure = f"an unexpected {type(error).__name__}, see the log of the master"
                log.exception("round_failed", service=type(self).__name__)
            self._failed_rounds += 1
            await asyncio.sleep(min(FAILURE_PAUSE_SECONDS, self._interval))


async def stop_all(*services: Service) -> None:
    """Stop the services in the given order, each even when one before it fails; the first failure is raised."""
    failures: list[Exception] = []
    for service in services:
        try:
            await service.stop()
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


@contextlib.asynccontextmanager
async def running(*services: Service) -> AsyncGenerator[None, None]:
    """Start the services in order, and stop them in the other behind the block, also one that fails to start."""
    begun: list[Service] = []
    try:
        for service in services:
            begun.insert(0, service)
            await service.start()
        yield
    finally:
        await stop_all(*begun)
