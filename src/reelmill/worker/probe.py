"""The client of the probe processes: keeps them alive, asks each one thing at a time, and replaces those that fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import structlog

from reelmill.domain.chunk import Chunk
from reelmill.domain.failure import Failure
from reelmill.errors import StartupError
from reelmill.media.durable import SLOWEST_READ
from reelmill.media.failed import AttemptFailed
from reelmill.service import Service
from reelmill.worker.cutting import Cutting
from reelmill.worker.media_info import MediaInfo
from reelmill.worker.probe_words import ProbeReply, ProbeRequest
from reelmill.worker.process import die_with_parent, environment

log = structlog.get_logger()

_START_SECONDS = 20.0
_MAX_REPLY_BYTES = 256 * 1024
_CUTTING_SECONDS = 300.0
"""Up to a thousand seeks in a file that may lie on a slow share."""

_TOO_SLOW = Failure(
    "timeout",
    "probe_timed_out",
    "Looking at the media file took too long; if other files work, this one is damaged, else check the disk or share.",
)
_CRASHED = Failure(
    "input_error", "input_invalid", "The media file made the probe crash twice: it is damaged; copy or export it again."
)


class ProbeError(AttemptFailed):
    """The file could not be probed; ``failure`` says why."""


class Probe(Service):
    """Looks at media files in processes of their own, which may die. ``timeout`` seconds for a file's headers.

    One process is kept; up to ``processes`` are started when there is more to look at, so that an input need not wait
    for the verification of another job's output.
    """

    def __init__(self, timeout: float = 30.0, processes: int = 1) -> None:
        self._timeout = timeout
        self._processes = processes
        self._room = asyncio.Semaphore(processes)
        self._idle = [_ProbeProcess() for _ in range(processes)]
        """The one used last comes last, and is used next: the others start only when they are needed."""

    @property
    def pid(self) -> int | None:
        """The id of the process that answers next; None when it does not run."""
        return self._idle[-1].pid if self._idle else None

    async def start(self) -> None:
        async with self._take() as process:
            await process.ensure()

    async def stop(self) -> None:
        """End the processes, each when it has answered."""
        async with contextlib.AsyncExitStack() as all_of_them:
            for _ in range(self._processes):
                process = await all_of_them.enter_async_context(self._take())
                await process.discard()

    @contextlib.asynccontextmanager
    async def _take(self) -> AsyncGenerator[_ProbeProcess]:
        async with self._room:
            process = self._idle.pop()
            try:
                yield process
            finally:
                self._idle.append(process)

    async def probe(self, path: Path, *, count_frames: bool = False) -> MediaInfo:
        """What the file at ``path`` (absolute) is; ProbeError with a failure for its job when that cannot be told.

        With ``count_frames`` the whole file is read, and ``frames`` and ``video_duration`` are facts, not claims.
        """
        request = ProbeRequest(os.fsencode(path), count_frames=count_frames)
        reply = await self._ask_twice(request, await self._patience(path, count_frames))
        if reply.info is None:
            raise ProbeError(reply.failure or _CRASHED)
        return reply.info

    async def probe_sound(self, path: Path) -> MediaInfo:
        """The same of a file that has sound and no picture: sizes and rates are 0."""
        reply = await self._ask_twice(ProbeRequest(os.fsencode(path), sound_only=True), self._timeout)
        if reply.info is None:
            raise ProbeError(reply.failure or _CRASHED)
        return reply.info

    async def probe_picture(self, path: Path) -> MediaInfo:
        """What a JPEG is, once it was decoded: times and rates are 0."""
        reply = await self._ask_twice(ProbeRequest(os.fsencode(path), picture=True), self._timeout)
        if reply.info is None:
            raise ProbeError(reply.failure or _CRASHED)
        return reply.info

    async def cut(self, path: Path, cutting: Cutting) -> tuple[Chunk, ...]:
        """The chunks in which the file at ``path`` may be encoded; ProbeError as for `probe`."""
        reply = await self._ask_twice(ProbeRequest(os.fsencode(path), cutting=cutting), _CUTTING_SECONDS)
        if reply.chunks is None:
            raise ProbeError(reply.failure or _CRASHED)
        return reply.chunks

    async def _ask_twice(self, request: ProbeRequest, patience: float) -> ProbeReply:
        async with self._take() as process:
            for _ in range(2):  # a crash may be the fault of what was probed before
                reply = await process.ask(request, patience)
                if reply is not None:
                    return reply
            raise ProbeError(_CRASHED)

    async def _patience(self, path: Path, count_frames: bool) -> float:
        if not count_frames:
            return self._timeout
        try:
            return self._timeout + (await asyncio.to_thread(path.stat)).st_size / SLOWEST_READ
        except OSError:  # the probe will say what is wrong with it
            return self._timeout


class _ProbeProcess:
    """One probe process, started when it is needed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._replies = msgspec.json.Decoder(ProbeReply)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def ask(self, request: ProbeRequest, patience: float) -> ProbeReply | None:
        """One question; None when the process died of it. Whatever goes wrong, no answer is left for the next one."""
        process = await self.ensure()
        assert process.stdin is not None
        assert process.stdout is not None
        answered = False
        try:
            async with asyncio.timeout(patience):
                process.stdin.write(msgspec.json.encode(request) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            answered = line.endswith(b"\n")
            return self._replies.decode(line) if answered else None
        except TimeoutError:
            raise ProbeError(_TOO_SLOW) from None
        except (ConnectionError, msgspec.DecodeError, ValueError):
            answered = False
            return None
        finally:
            if not answered:
                await self.discard()

    async def ensure(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.discard()
        argv = die_with_parent([sys.executable, "-m", "reelmill.worker.probe_process"])
        extra = {name: os.environ[name] for name in ("PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at a terminal is for the worker, which ends its probe itself
            limit=_MAX_REPLY_BYTES,
            env={**environment(), **extra},
        )
        await self._wait_until_ready(self._process)
        return self._process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        ready = b""
        try:
            async with asyncio.timeout(_START_SECONDS):
                ready = await process.stdout.readline()
        except TimeoutError:
            pass
        finally:
            if not ready:
                await self.discard()
        if not ready:
            raise StartupError(
                "the probe process did not start; run `python -m reelmill.worker.probe_process` to see why"
            )

    async def discard(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        reaped = asyncio.ensure_future(process.wait())
        while not reaped.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([reaped])
        if process.stdin is not None:
            process.stdin.close()
