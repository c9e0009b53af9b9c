"""Real processes: the `reelmill` command as a user runs it, each in a session of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.fleet import Fleet

REELMILL = [sys.executable, "-m", "reelmill.cli"]
START_SECONDS = 30


class Commands:
    """Runs commands with one folder as home, current folder and place of all files; ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.media = folder / "media"
        self.log = folder / "stderr.txt"
        self._children: list[subprocess.Popen[str]] = []
        self._open = contextlib.ExitStack()
        self.environment = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        self.environment |= {"HOME": str(folder), "PYTHONUNBUFFERED": "1"}
        self.environment["REELMILL_GSTREAMER"] = "none"  # jobs that ask for it wait, as tests need them to

    def run(
        self, *arguments: str, seconds: float = 100, prefix: Sequence[str] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; ``prefix`` is a command that runs the command."""
        environment = self.environment | variables
        return subprocess.run(
            [*prefix, *REELMILL, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, *arguments: str, prefix: Sequence[str] = (), **variables: str) -> subprocess.Popen[str]:
        """Start and go on; ``prefix`` is a command that runs the command."""
        child = subprocess.Popen(
            [*prefix, *REELMILL, *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=self._open.enter_context(self.log.open("a")),
            text=True,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def up(self, *arguments: str, port: int = 0, prefix: Sequence[str] = (), **variables: str) -> Farm:
        """A farm that is up."""
        self.media.mkdir(exist_ok=True)
        where = ["--data", str(self.folder / "data"), "--media", str(self.media), "--port", str(port)]
        child = self.start("up", *where, *arguments, prefix=prefix, **variables)
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "is up: http" in line, self.log.read_text()
        url = line.split()[-1]
        return Farm(child, url, self._open.enter_context(httpx2.Client(base_url=url, timeout=30)))

    def end_all(self) -> None:
        for child in self._children:
            family = [*psutil.Process(child.pid).children(recursive=True)] if child.poll() is None else []
            if child.poll() is None:
                child.kill()
            child.wait(10)
            if child.stdout is not None:
                child.stdout.close()
            psutil.wait_procs(family, timeout=10)
        self._open.close()


class Farm:
    """A running `reelmill up`."""

    def __init__(self, process: subprocess.Popen[str], url: str, http: httpx2.Client) -> None:
        self.process = process
        self.url = url
        self._http = http

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def ask(self, method: str, path: str, body: bytes | None = None) -> httpx2.Response:
        """The answer, whatever its status."""
        return self._http.request(method, path, content=body, headers={"Content-Type": "application/json"})

    def family(self) -> list[psutil.Process]:
        """What the farm has started: its probe and its engines."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait, and return the exit code."""
        self._http.close()
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        self._http.close()
        self.process.kill()
        self.process.wait(10)


def wait_for(what: Callable[[], Any], accept: Callable[[Any], bool], seconds: float = 60) -> Any:
    """Poll until ``what()`` is accepted; the failure shows its last value."""
    deadline = time.monotonic() + seconds
    while not accept(last := what()):
        if time.monotonic() > deadline:
            pytest.fail(f"not reached in {seconds} s; last state: {last}")
        time.sleep(0.05)
    return last


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def commands(tmp_path: Path) -> Generator[Commands, None, None]:
    commands = Commands(tmp_path)
    yield commands
    commands.end_all()


@pytest.fixture
def fleet(commands: Commands, tmp_path: Path) -> Generator[Fleet, None, None]:
    """PostgreSQL and NATS for masters and workers that a test starts."""
    from tests.e2e.fleet import Fleet  # it is made of what is here

    made = Fleet(commands, tmp_path)
    yield made
    commands.end_all()
    made.nats.kill()
