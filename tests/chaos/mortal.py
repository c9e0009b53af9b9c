"""A farm that is killed and started again, as a supervisor would, and that leaves a mark on whatever it starts."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.e2e.conftest import Commands, wait_for

ORPHAN_SECONDS = 10.0


class MortalFarm:
    """`reelmill up` with a name of its own. Each of its lives has a HOME of its own, which its engines inherit too."""

    def __init__(self, commands: Commands, name: str, **variables: str) -> None:
        self.name = name
        self.url: str | None = None
        """Where it answers; None while it is down or on its way up."""
        self.process: subprocess.Popen[str]
        self._commands = commands
        self._variables = variables | {"REELMILL_NODE_NAME": name}
        self._lives = 0

    def start(self) -> None:
        """Begin a life, and go on without waiting for it."""
        self._lives += 1
        self.home.mkdir()
        self._commands.media.mkdir(exist_ok=True)
        own = {
            "PORT": "0",
            "BEAT_SECONDS": "0.3",
            "DATA": str(self.database.parent),
            "MEDIA": str(self._commands.media),
        }
        variables = {f"REELMILL_{name}": value for name, value in own.items()} | self._variables
        self.process = self._commands.start("up", **variables, HOME=str(self.home))
        threading.Thread(target=self._read_url, args=(self.process,), daemon=True).start()

    def _read_url(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed: the test is over
            line = process.stdout.readline()
            if "is up: http" in line and process is self.process and process.poll() is None:
                self.url = line.split()[-1]

    @property
    def database(self) -> Path:
        """Its SQLite file, unless it was told another place."""
        return self._commands.folder / f"data-{self.name}" / "farm.db"

    @property
    def home(self) -> Path:
        """The mark of this life."""
        return self._commands.folder / f"life-{self.name}-{self._lives}"

    def up(self) -> MortalFarm:
        """Wait until it answers."""
        wait_for(lambda: (self.url, self.process.poll()), lambda seen: seen[0] is not None and seen[1] is None)
        return self

    def get(self, path: str) -> Any:
        """What a GET that must succeed answers."""
        return httpx2.get(f"{self.url}{path}", timeout=60).raise_for_status().json()

    def answers(self) -> bool:
        """Whether it is up, and its database too."""
        try:
            return self.url is not None and "jobs" in self.get("/jobs?limit=1")
        except httpx2.HTTPError:
            return False

    def submit(self, count: int = 1, scenario: str = "480p30-h264", **parameters: Any) -> list[str]:
        """The ids of so many small jobs, each of which must be accepted."""
        body = {"jobs": [{"scenario": scenario, "parameters": {"duration": 0.2} | parameters}] * count}
        answer = httpx2.post(f"{self.url}/jobs/batch", json=body, timeout=60).raise_for_status().json()
        return [item["job"]["id"] for item in answer["results"]]

    def act(self, job_id: str, action: str) -> None:
        """Cancel, say."""
        httpx2.post(f"{self.url}/jobs/{job_id}/{action}", timeout=60).raise_for_status()

    def metric(self, name: str) -> float:
        """A counter of its master."""
        lines = httpx2.get(f"{self.url}/metrics", timeout=60).raise_for_status().text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """The job's steps, oldest first."""
        return self.get(f"/jobs/{job_id}/history")["history"]

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended."""
        return wait_for(lambda: self.get(f"/jobs/{job_id}"), lambda job: job["completed_at"] is not None, 100)

    def statuses(self, job_ids: list[str]) -> list[str]:
        """How these jobs ended."""
        return [self.ended(job_id)["status"] for job_id in job_ids]

    def has_ended(self, job_id: str) -> bool:
        """Whether the job has, as far as a farm that may be dead can tell."""
        try:
            return self.get(f"/jobs/{job_id}")["completed_at"] is not None
        except httpx2.HTTPError:
            return False

    def kill(self) -> float:
        """kill -9; how many seconds the last of what it had started lived on. AssertionError after ten."""
        self.process.kill()
        return self.bury()

    def bury(self) -> float:
        """The same for a farm that dies by itself."""
        self.url = None
        self.process.wait(60)
        return self.await_no_orphan()

    def stop(self) -> None:
        """SIGTERM: what runs is finished first."""
        self.process.terminate()
        assert 0 == self.process.wait(60), "a farm that was told to stop failed"
        self.url = None
        self.await_no_orphan()

    def await_no_orphan(self) -> float:
        """Seconds until nothing of this life runs any more."""
        began = time.monotonic()
        wait_for(self.family, lambda left: not left, ORPHAN_SECONDS)
        return time.monotonic() - began

    def family(self) -> list[psutil.Process]:
        """What this life has started and still runs, whoever its parent is by now; without the farm itself."""
        return [process for process in marked(self.home) if process.pid != self.process.pid]

    def engines(self) -> list[psutil.Process]:
        """Its running encoders."""
        return [process for process in self.family() if "-progress" in words_of(process)]


def marked(folder: Path) -> Iterable[psutil.Process]:
    """The live processes whose HOME is this folder, or lies in it."""
    mark = f"HOME={folder}/"
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            variables = Path(f"/proc/{process.pid}/environ").read_text(errors="replace").split("\0")
            is_marked = any(f"{variable}/".startswith(mark) for variable in variables)
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; none once it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
