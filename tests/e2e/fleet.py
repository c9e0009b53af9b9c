"""A fleet of real processes for tests: PostgreSQL, NATS, masters, workers."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for
from tests.nats_server import NatsServer


class Fleet:
    """Starts its parts one by one; ``commands`` ends what is left of them."""

    def __init__(self, commands: Commands, folder: Path) -> None:
        self.commands = commands
        self.folder = folder
        self.store = new_database()
        self.nats = NatsServer(folder)
        self.urls: list[str] = []
        made = commands.run("bus", "config", "--store", self.store, "--listen", f"127.0.0.1:{self.nats.port}")
        assert 0 == made.returncode, made.stderr
        self.nats.configure(made.stdout)
        self.bus = made.stderr.split("REELMILL_BUS=")[1].strip().strip("'")
        self.nats.start()

    def master(self, media: str = "", **variables: str) -> subprocess.Popen[str]:
        """One more master; its URL is the last of ``urls``. Media are in a folder unless told otherwise."""
        if not media:
            (self.folder / "media").mkdir(exist_ok=True)
            media = str(self.folder / "media")
        data = self.folder / f"master-{len(self.urls)}"
        where = [
            "--port",
            "0",
            "--data",
            str(data),
            "--media",
            media or str(self.folder / "media"),
            "--store",
            self.store,
        ]
        child = self.commands.start("master", *where, REELMILL_BUS=self.bus, **variables)
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "master is up: http" in line, self.commands.log.read_text()
        self.urls.append(line.split()[-1])
        return child

    def token(self, name: str = "workers") -> str:
        """What is pasted behind ``--join``."""
        made = self.commands.run("tokens", "create", name, "--master", self.urls[-1])
        assert 0 == made.returncode, made.stderr
        return made.stdout.split()[-1]

    def worker(self, join: str, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """One more worker, that has joined; it shares the masters' media folder."""
        where = ["--media", str(self.folder / "media"), "--data", str(self.folder / name)]
        child = self.commands.start("worker", "--join", join, "--name", name, *where, *arguments, **variables)
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "has joined" in line, self.commands.log.read_text()
        return child

    def far_worker(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """One more worker, with a token of its own; it is told of no media folder, and stands in none."""
        data = str(self.folder / name)
        variables = {"REELMILL_MEDIA": "", **variables}
        child = self.commands.start(
            "worker", "--join", self.token(name), "--name", name, "--data", data, *arguments, **variables
        )
        assert child.stdout is not None
        assert "has joined" in child.stdout.readline(), self.commands.log.read_text()
        return child

    def get(self, path: str, master: int = -1) -> Any:
        return httpx2.get(f"{self.urls[master]}{path}", timeout=30).raise_for_status().json()

    def post(self, path: str, body: Any = None, master: int = -1) -> Any:
        return httpx2.post(f"{self.urls[master]}{path}", json=body, timeout=30).raise_for_status().json()

    def jobs(self, **wanted: str) -> list[dict[str, Any]]:
        """The jobs, oldest first."""
        found = httpx2.get(f"{self.urls[-1]}/jobs", params={"limit": "1000", **wanted}, timeout=30)
        return sorted(found.raise_for_status().json()["jobs"], key=lambda job: job["sequence_number"])

    def nodes(self) -> dict[str, str]:
        """The status of each node by its name."""
        return {node["name"]: node["status"] for node in self.get("/nodes")["nodes"]}

    def until_ended(self, count: int, seconds: float = 300) -> list[dict[str, Any]]:
        """All jobs once they have ended."""

        def look() -> list[str]:
            return [job["status"] for job in self.jobs()]

        ended = {"completed", "failed", "canceled"}
        wait_for(look, lambda seen: len(seen) == count and set(seen) <= ended, seconds)
        return self.jobs()


def engines_of(worker: subprocess.Popen[str]) -> list[int]:
    """The engines that the worker has started."""
    children = psutil.Process(worker.pid).children(recursive=True)
    return [child.pid for child in children if child.name().startswith("ffmpeg")]


def kill(process: subprocess.Popen[str]) -> None:
    """With all that it started, as a machine that loses its power does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
