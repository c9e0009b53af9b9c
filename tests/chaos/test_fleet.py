"""A fleet on a network of its own, and what a bad day takes from it: cables, power, one of each kind of machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

from reelmill.store.counts import read_counts
from reelmill.store.nodes import list_nodes
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from reelmill.worker.inventory import find_ffmpeg
from tests.chaos.aftermath import read_aftermath
from tests.chaos.conftest import Figures
from tests.chaos.network import Machine, Network
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for
from tests.nats_server import NatsServer, free_port

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SYNTHETIC, REAL = 240, 60
LEASE_SECONDS = 10


class Site:
    """Two masters, three nats-servers in a cluster and three workers without a common folder, each a machine."""

    def __init__(self, commands: Commands, network: Network) -> None:
        self.commands = commands
        self.network = network
        self.store = new_database()
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.machines: dict[str, Machine] = {}
        self.desk = network.machine("desk")
        commands.media.mkdir()
        self._start_bus()
        self.urls = [self._start_master(name) for name in ("master-1", "master-2")]
        made = self.commands.run("tokens", "create", "workers", "--master", self.urls[0],
                                 prefix=self.machines["master-1"].prefix)  # fmt: skip
        assert 0 == made.returncode, made.stderr
        token = made.stdout.split()[-1].rpartition("@")[0]
        self.join = f"{token}@{','.join(self.places)}"
        for name in ("worker-1", "worker-2", "worker-3"):
            self.start_worker(name)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command at the desk, which must succeed."""
        ended = self.commands.run(*arguments, prefix=self.desk.prefix, seconds=600, **variables)
        assert 0 == ended.returncode, ended.stderr
        return ended

    def _start_bus(self) -> None:
        names = ["nats-1", "nats-2", "nats-3"]
        self.machines |= {name: self.network.machine(name) for name in names}
        routes = {name: f"{self.machines[name].address}:{free_port()}" for name in names}
        self.servers = {name: NatsServer(self.commands.folder, prefix=self.machines[name].prefix) for name in names}
        self.places = [f"{self.machines[name].address}:{server.port}" for name, server in self.servers.items()]
        self.bus = f"nats://master:secret@{','.join(self.places)}"
        for name, server in self.servers.items():
            listen = f"{self.machines[name].address}:{server.port}"
            made = self.run("bus", "config", "--store", self.store, "--listen", listen, REELMILL_BUS=self.bus)
            others = ", ".join(f'"nats://{place}"' for other, place in routes.items() if other != name)
            cluster = f'cluster {{ name: farm, listen: "{routes[name]}", routes: [{others}] }}'
            server.configure(f'{made.stdout}\nserver_name: "{name}"\n{cluster}\n')
            server.start()

    def _start(self, name: str, *arguments: str, **variables: str) -> str:
        """Start what a machine does; its first line."""
        machine = self.machines.setdefault(name, self.network.machine(name))
        home = self.commands.folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        child = self.commands.start(*arguments, prefix=machine.prefix, HOME=str(home), **variables)
        self.processes[name] = child
        machine.pids.append(child.pid)
        assert child.stdout is not None
        return child.stdout.readline()

    def _start_master(self, name: str) -> str:
        host = self.machines.setdefault(name, self.network.machine(name)).address
        line = self._start(
            name, "master", "--host", host, "--port", "0", "--data", str(self.commands.folder / name),
            "--media", str(self.commands.media), "--store", self.store,
            REELMILL_BUS=self.bus, REELMILL_LEASE_SECONDS=str(LEASE_SECONDS), REELMILL_BEAT_SECONDS="1",
        )  # fmt: skip
        assert "master is up: http" in line, self.commands.log.read_text()
        return line.split()[-1]

    def start_worker(self, name: str) -> None:
        """It joins."""
        line = self._start(
            name, "worker", "--join", self.join, "--name", name, "--data", str(self.commands.folder / name),
            "--slots", "2", REELMILL_BEAT_SECONDS="1",
        )  # fmt: skip
        assert f"worker {name} has joined" in line, self.commands.log.read_text()

    def kill(self, name: str) -> None:
        """Its power goes."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait(10)

    def ask(self, work: Callable[[Tx], T]) -> T:
        """What the store says, whatever the masters do."""

        async def read() -> T:
            store = PostgresStore(self.store)
            await store.start()
            try:
                return await store.read(work)
            finally:
                await store.stop()

        return asyncio.run(read())

    def completed(self) -> int:
        return sum(n for key, n in self.ask(read_counts).items() if key.status == "completed")


@pytest.fixture
def site(commands: Commands) -> Generator[Site, None, None]:
    network = Network()
    made = Site(commands, network)
    yield made
    commands.end_all()
    for server in made.servers.values():
        server.kill()
    network.close()


def test_three_hundred_jobs_survive_the_loss_of_one_of_each(site: Site, figures: Figures) -> None:
    """P1, P2, P3, P6 over a network: each completes, is published once, and is what the store says; nothing is left."""
    make_clip(site.commands.media / "in")
    site.run("launch", "--count", str(SYNTHETIC), "--scenario", "480p30-h264", "--duration", "1", "--delay", "0",
             "--output", "synthetic.json", "--master", site.urls[0])  # fmt: skip
    site.run("launch", "--input", "media/in/*.mp4", "--to", "outputs/real-{stem}.mp4", "--scenario", "480p30-h264",
             "--delay", "0", "--output", "real.json", "--master", site.urls[0])  # fmt: skip
    accepted = [
        one["id"]
        for name in ("synthetic.json", "real.json")
        for one in json.loads((site.commands.folder / name).read_text())
    ]
    assert SYNTHETIC + REAL == len(set(accepted))

    blows: list[tuple[int, Callable[[], None]]] = [
        (30, lambda: site.network.cut(site.machines["worker-1"])),
        (60, lambda: site.kill("worker-2")),
        (90, lambda: site.kill("master-1")),
        (120, site.servers["nats-1"].kill),
        (180, lambda: site.network.mend(site.machines["worker-1"])),
    ]
    for done, blow in blows:
        wait_for(site.completed, lambda n, least=done: n >= least, 300)
        blow()
    wait_for(site.completed, lambda n: n >= SYNTHETIC + REAL, 600)
    wait_for(lambda: online(site), lambda names: {"worker-1", "worker-3"} <= names)
    for name in ("worker-1", "worker-3", "master-2"):
        site.processes[name].send_signal(signal.SIGTERM)
    for name in ("worker-1", "worker-3", "master-2"):
        assert 0 == site.processes[name].wait(60), site.commands.log.read_text()[-4000:]

    after = asyncio.run(read_aftermath(PostgresStore(site.store), site.commands.media))
    assert [] == after.violations(accepted)
    assert {"completed": SYNTHETIC + REAL} == after.by_status
    left = [str(path) for name in ("worker-1", "worker-3") for path in scratch(site.commands.folder / name)]
    assert [] == left
    by_node = {job.node_name for job in after.jobs}
    attempts = max(job.attempt for job in after.jobs)
    network = "namespaces" if site.network.is_real else "processes"
    figures(f"300 jobs over {network}: completed by {sorted(map(str, by_node))}, most attempts of one job {attempts}")


def make_clip(folder: Path) -> None:
    """Sixty short films."""
    folder.mkdir()
    first = folder / "00.mp4"
    made = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-c:v", "libx264", "-preset", "ultrafast", str(first)]
    subprocess.run([find_ffmpeg().path, "-v", "error", *made], check=True)
    for number in range(1, REAL):
        (folder / f"{number:02}.mp4").write_bytes(first.read_bytes() + bytes(number))


def online(site: Site) -> set[str]:
    """Workers that give signs of life."""
    return {node.name for node in site.ask(lambda tx: list_nodes(tx, time.time())) if node.status == "online"}


def scratch(folder: Path) -> list[Path]:
    """What a worker has left of attempts."""
    return list(folder.rglob("attempts/*"))
