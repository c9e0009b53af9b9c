"""A line to a master that can be broken in the ways in which lines break."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

_BREAKS = ("drop", "late", "500", "503", "429", "mute", "half")


class BadLine:
    """A proxy in front of a master that breaks a share of the requests, each in one of seven ways.

    It drops the request before the master saw it, answers 500, 503 or 429 itself, passes it on late, or lets the master
    do the work and then closes the connection, before the answer or in the middle of it. ``first`` is what happens to
    the first batches, one by one, whatever the share.
    """

    def __init__(
        self, target: str, share: float, seed: int, *, first: Sequence[str] = (), retry_after: int = 0
    ) -> None:
        self._port = int(target.rpartition(":")[2])
        self._share = share
        self._first = list(first)
        self._retry_after = retry_after
        self.batches_at: list[float] = []
        """When each batch arrived, on the loop's clock."""
        self._random = random.Random(seed)
        self.broken = 0
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> BadLine:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._pass_on(await _read_message(reader), writer)
        writer.close()

    async def _pass_on(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        kind = self._random.choice(_BREAKS) if self._random.random() < self._share else ""
        if request.startswith(b"POST"):
            self.batches_at.append(asyncio.get_running_loop().time())
            kind = self._first.pop(0) if self._first else kind
        self.broken += bool(kind)
        if kind == "drop":
            return
        if kind == "late":
            await asyncio.sleep(self._random.uniform(0.01, 0.1))
        if kind in ("500", "503", "429"):
            head = f"HTTP/1.1 {kind} No\r\nRetry-After: {self._retry_after}\r\nContent-Length: 4\r\n\r\n"
            writer.write(head.encode() + b"busy")
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            up_writer.write(request)
            answer = await _read_message(up_reader)
        finally:
            up_writer.close()
        if kind != "mute":
            head, blank, body = answer.partition(b"\r\n\r\n")
            whole = head + b"\r\nConnection: close" + blank + body
            writer.write(whole[: len(whole) // 2] if kind == "half" else whole)
            await writer.drain()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
