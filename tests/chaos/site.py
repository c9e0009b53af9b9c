"""A fleet on a network of its own: two masters, a cluster of nats-servers, and workers without a common folder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

from reelmill.store.counts import read_counts
from reelmill.store.nodes import list_nodes
from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Tx
from tests.chaos.network import Machine, Network
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands
from tests.nats_server import NatsServer, free_port

T = TypeVar("T")

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

    def online(self) -> set[str]:
        """Workers that give signs of life."""
        nodes = self.ask(lambda tx: list_nodes(tx, time.time()))
        return {node.name for node in nodes if node.status == "online"}

    def close(self) -> None:
        """Nothing of it runs on."""
        self.commands.end_all()
        for server in self.servers.values():
            server.kill()
        self.network.close()
