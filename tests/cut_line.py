"""A line to a master that can be cut in the middle of what goes over it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

Way = Literal["up", "down"]


class CutLine:
    """Passes connections on to ``target``, counts the bytes of each way, and ends one after so many as ``cuts`` say."""

    def __init__(self) -> None:
        self.target = ""
        self.cuts: list[tuple[Way, int]] = []
        """One after the other: which way, and behind how many bytes from then on the connection ends."""
        self.passed = {"up": 0, "down": 0}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CutLine:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(self.target.rpartition(":")[2]))
            ways = [
                asyncio.ensure_future(self._pass(reader, up_writer, "up")),
                asyncio.ensure_future(self._pass(up_reader, writer, "down")),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                up_writer.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        while some := await reader.read(1 << 16):
            cut = bool(self.cuts) and self.cuts[0][0] == way and len(some) >= self.cuts[0][1]
            if cut:
                some = some[: self.cuts.pop(0)[1]]
            elif self.cuts and self.cuts[0][0] == way:
                self.cuts[0] = (way, self.cuts[0][1] - len(some))
            self.passed[way] += len(some)
            writer.write(some)
            await writer.drain()
            if cut:
                return
