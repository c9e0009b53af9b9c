"""The parts of a real fleet for benchmarks: PostgreSQL, nats-server, and masters, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import psutil
from stores import new_database

from reelmill.cli.fleet import BusPlace, read_bus
from reelmill.domain.credential import Join, Token, make_token

REELMILL = Path(sys.executable).with_name("reelmill")


class Spent(NamedTuple):
    """CPU seconds since its start of each part."""

    masters: float
    postgresql: float
    nats: float

    def since(self, before: Spent) -> Spent:
        """What was spent between the two."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))

    def __str__(self) -> str:
        return f"masters {self.masters:.1f} s, PostgreSQL {self.postgresql:.1f} s, NATS {self.nats:.1f} s of CPU"


class FleetParts:
    """A fleet without its workers. ``join`` is what they come with; its token counts when masters start."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.store = store
        self.token: Token = make_token()
        self._processes: list[subprocess.Popen[str]] = []
        self.masters: list[psutil.Process] = []
        self.urls: list[str] = []
        """Where their APIs answer."""
        self._server = self._start_bus()
        self._postgresql = _postmaster(store)

    def _start_bus(self) -> psutil.Process:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listens = f"127.0.0.1:{probe.getsockname()[1]}"
        argv = [REELMILL, "bus", "config", "--store", self.store, "--listen", self.listens]
        made = subprocess.run(argv, capture_output=True, text=True, check=True)
        self.bus_url = made.stderr.split("REELMILL_BUS=")[1].strip().strip("'")
        config = self.folder / "nats.conf"
        config.write_text(made.stdout)
        argv = [Path(sys.executable).with_name("nats-server"), "-c", config, "-l", self.folder / "nats.log"]
        return psutil.Process(self._spawn(argv).pid)

    def _spawn(self, argv: list[str | Path], **variables: str) -> subprocess.Popen[str]:
        with (self.folder / "stderr.log").open("a") as said:
            child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=os.environ | variables
            )
        self._processes.append(child)
        return child

    @property
    def bus(self) -> BusPlace:
        """How masters get in."""
        return read_bus(self.bus_url)

    @property
    def join(self) -> Join:
        """How workers get in."""
        return Join(self.token, (self.listens,), None, tls=False)

    def start_master(self) -> None:
        """One more master, that is up."""
        data = self.folder / f"master-{len(self.masters)}"
        argv = [REELMILL, "master", "--store", self.store, "--port", "0", "--data", data, "--media", self.folder]
        child = self._spawn(argv, REELMILL_BUS=self.bus_url)
        self.urls.append(self._wait_for(child, "master is up").split()[-1])
        self.masters.append(psutil.Process(child.pid))

    def spawn_and_wait(self, argv: list[str | Path], word: str) -> subprocess.Popen[str]:
        """A process that has said the word; it ends with the fleet."""
        child = self._spawn(argv)
        self._wait_for(child, word)
        return child

    def _wait_for(self, child: subprocess.Popen[str], word: str) -> str:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert word in line, (self.folder / "stderr.log").read_text()
        return line

    def spent(self) -> Spent:
        """CPU seconds so far."""
        return Spent(sum(map(_cpu, self.masters)), _cpu_of_all(self._postgresql), _cpu(self._server))

    def memory(self) -> int:
        """Bytes of memory that the masters have."""
        return sum(master.memory_info().rss for master in self.masters)

    def stop(self) -> None:
        """End all that was started here, the latest first."""
        for child in reversed(self._processes):
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextlib.contextmanager
def fleet_parts() -> Generator[FleetParts, None, None]:
    """An empty fleet; everything of it is removed behind the block."""
    with tempfile.TemporaryDirectory(prefix="reelmill-fleet-") as folder, new_database("postgresql") as store:
        parts = FleetParts(Path(folder), store)
        try:
            yield parts
        finally:
            parts.stop()


def _postmaster(store: str) -> psutil.Process:
    """The server of that database, which listens in its own folder."""
    folder = store.split("host=")[1].split("&")[0]
    return psutil.Process(int((Path(folder) / "postmaster.pid").read_text().split()[0]))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _cpu_of_all(process: psutil.Process) -> float:
    times = process.cpu_times()
    spent = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += _cpu(child)
    return spent
