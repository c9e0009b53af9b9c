"""The HTTP server: uvicorn on a socket of ours, inside our own event loop, with our own signal handling."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import platform
import socket
from collections.abc import Generator

import uvicorn
from litestar import Litestar

from reelmill.errors import StartupError
from reelmill.service import Service

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
_GRACE_SECONDS = 5
_FAR_AWAY = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737)."""


def outward_address() -> str:
    """This machine's address towards others; its name when it has none. Names need not be known elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_FAR_AWAY)  # sends nothing: it only asks for the way there
            return probe.getsockname()[0]
        except OSError:
            return platform.node()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the program around us."""
        yield


class HttpServer(Service):
    """Serves the application on ``host``:``port``; port 0 takes a free one, see ``url``."""

    def __init__(self, app: Litestar, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the server answers."""
        host = "localhost" if self._host in ("127.0.0.1", "::1", *EVERYWHERE) else self._host
        return f"http://{host}:{self._port}"

    @property
    def address(self) -> str:
        """Where it answers other machines, as far as this one can know."""
        return f"http://{outward_address()}:{self._port}" if self._host in EVERYWHERE else self.url

    async def start(self) -> None:
        """Listen; StartupError when the port is taken or may not be used."""
        if self._task is not None:
            return
        listener = self._bind()
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="httptools",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            server_header=False,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise StartupError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # Named as TCP, or asyncio does not set TCP_NODELAY and each answer waits 40 ms for a delayed ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            reason = {
                errno.EADDRINUSE: f"port {self._port} is in use; stop what uses it, or choose another with --port",
                errno.EACCES: f"port {self._port} needs more rights; choose one above 1023 with --port",
            }.get(error.errno or 0, f"cannot listen on {self._host}:{self._port}: {error.strerror or error}")
            raise StartupError(reason) from error
        listener.setblocking(False)
        return listener

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
            self._server = self._task = None
