"""What `reelmill up` tells the service manager that started it, heard on a real socket as systemd would."""

from __future__ import annotations

import signal
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.nats_server import free_port

from .conftest import Commands, wait_for


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address.replace("\0", "@")
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.link.bind(address)
        self.link.settimeout(60)

    def hear(self) -> list[str]:
        """The lines of the next word."""
        return self.link.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Manager, None, None]:
    place = str(tmp_path / "notify")
    manager = Manager(place if request.param == "path" else "\0" + place)
    yield manager
    manager.link.close()


def test_the_manager_hears_when_the_farm_is_up_and_when_it_ends(commands: Commands, manager: Manager) -> None:
    """READY once the API answers, STOPPING with what is still to be finished."""
    farm = commands.up(NOTIFY_SOCKET=manager.address)
    assert ["READY=1", f"STATUS=up: {farm.url}"] == manager.hear()
    job = farm.post("/jobs", {"scenario": "1080p60-h264", "parameters": {"duration": 600}})
    wait_for(lambda: farm.get(f"/jobs/{job['id']}")["status"], lambda status: status == "running")
    farm.process.send_signal(signal.SIGTERM)
    assert ["STOPPING=1", "STATUS=finishing 1 running job"] == manager.hear()
    assert 0 == farm.stop(signal.SIGTERM)


def test_the_manager_hears_when_a_worker_has_joined_and_when_it_ends(commands: Commands, manager: Manager) -> None:
    """The same of `reelmill worker`, under the name of its node."""
    farm = commands.up("--fleet", REELMILL_BUS_PORT=str(free_port()))
    assert farm.process.stdout is not None
    join = farm.process.stdout.readline().split()[-1]
    (commands.folder / "media-of-n1").mkdir()
    own = ["--data", "data-of-n1", "--media", "media-of-n1"]
    worker = commands.start("worker", "--join", join, "--name", "n1", *own, NOTIFY_SOCKET=manager.address)
    assert ["READY=1", "STATUS=joined as n1"] == manager.hear()
    worker.send_signal(signal.SIGTERM)
    assert ["STOPPING=1", "STATUS=finishing 0 running jobs"] == manager.hear()
    assert 0 == worker.wait(60)
    assert 0 == farm.stop()


def test_a_manager_that_asks_hears_that_the_farm_is_alive(commands: Commands, tmp_path: Path) -> None:
    """WATCHDOG=1, again and again."""
    manager = Manager(str(tmp_path / "notify"))
    farm = commands.up(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    while manager.hear() != ["READY=1", f"STATUS=up: {farm.url}"]:
        pass
    assert [["WATCHDOG=1"]] * 3 == [manager.hear() for _ in range(3)]
    assert 0 == farm.stop()
    manager.link.close()


def test_a_manager_that_went_away_does_not_harm_the_farm(commands: Commands, tmp_path: Path) -> None:
    """Nobody listens at the address: the farm goes on without those words."""
    farm = commands.up(NOTIFY_SOCKET=str(tmp_path / "nobody"))
    assert "healthy" == farm.get("/health")["status"]
    assert 0 == farm.stop()
