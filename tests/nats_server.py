"""A real nats-server for tests, from the wheel; ready when it is returned, and gone with the block."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

BINARY = shutil.which("nats-server", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

_READY = "Server is ready"


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NatsServer:
    """One server on a port that it keeps when it is started again. ``config`` is the rest of its configuration.

    ``prefix`` is a command that runs it.
    """

    def __init__(self, folder: Path, config: str = "", prefix: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._prefix = prefix
        self._file = folder / f"nats-{self.port}.conf"
        self.configure(f'listen: "127.0.0.1:{self.port}"\n{config}\n')
        self._log = folder / f"nats-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, config: str) -> None:
        """Its whole configuration, from its next start on; it must listen on ``port``."""
        self._file.write_text(config)

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text() if self._log.exists() else ""

    def start(self) -> None:
        """Start it, again if need be, and wait until it listens."""
        assert BINARY is not None, "nats-server is not there; scripts/setup installs it"
        ready = self.log.count(_READY)
        argv = [*self._prefix, BINARY, "-c", self._file, "-l", self._log]
        self._process = subprocess.Popen(argv, start_new_session=True)
        deadline = time.monotonic() + 30
        while self.log.count(_READY) == ready:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.005)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, without waiting for what comes of it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, frozen or not; harmless when it is not there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def nats_server(folder: Path, config: str = "") -> Generator[NatsServer, None, None]:
    """A server for the length of the block."""
    server = NatsServer(folder, config)
    server.start()
    try:
        yield server
    finally:
        server.kill()
