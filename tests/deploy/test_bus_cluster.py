"""The cluster of NATS servers of deploy/nats: real servers, a real master at one, a real worker at another."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest

from reelmill.store.pooled import READERS
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for
from tests.nats_server import BINARY, NatsServer, free_port

CONFIG = (Path(__file__).resolve().parents[2] / "deploy" / "nats" / "cluster.conf").read_text()
MASTER = "nats://master:CHANGE-ME@"


def _config(routes: list[int], own: int) -> str:
    """The file for one of three servers on this machine; only places differ from what stands there."""
    text = CONFIG.replace("0.0.0.0:6222", f"127.0.0.1:{own}").replace("127.0.0.1:8222", f"127.0.0.1:{free_port()}")
    for index, port in enumerate(routes):
        assert f"nats-{index}.example.org:6222" in text
        text = text.replace(f"nats-{index}.example.org:6222", f"127.0.0.1:{port}")
    return text


@pytest.fixture
def store() -> str:
    return new_database()


@pytest.fixture
def servers(commands: Commands, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[NatsServer]]:
    """Three of them, each with what `reelmill bus config` prints for it."""
    routes = [free_port() for _ in range(3)]
    made: list[NatsServer] = []
    for index, route in enumerate(routes):
        folder = commands.folder / f"nats-{index}"
        folder.mkdir()
        server = NatsServer(folder)
        listen = ["--listen", f"127.0.0.1:{server.port}"]
        end = commands.run("bus", "config", *listen, REELMILL_STORE=store, REELMILL_BUS=f"{MASTER}nats:4222")
        assert (0, "") == (end.returncode, end.stderr)
        (folder / "reelmill.conf").write_text(end.stdout)
        server.configure(_config(routes, route))
        monkeypatch.setenv("NATS_NAME", f"nats-{index}")
        server.start()
        made.append(server)
    yield made
    for server in made:
        server.kill()


def _job(http: httpx2.Client) -> str:
    """The id of a short job."""
    body = {"scenario": "480p30-h264", "parameters": {"duration": 0.5}}
    return http.post("/jobs", json=body).raise_for_status().json()["id"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_farm_works_over_a_cluster_and_goes_on_without_one_of_its_servers(
    commands: Commands, servers: list[NatsServer], store: str
) -> None:
    """A worker is let in by a master that is connected to another server; it moves on when its own is killed, and is
    missed, long before its lease, when it is killed itself."""
    places = [f"127.0.0.1:{server.port}" for server in servers]
    commands.media.mkdir()
    media = ["--media", str(commands.media)]
    settings = {"REELMILL_STORE": store, "REELMILL_BUS": f"{MASTER}{places[0]}", "REELMILL_LEASE_SECONDS": "3600"}
    master = commands.start("master", "--port", "0", "--data", "master", *media, **settings)
    assert master.stdout is not None
    url = master.stdout.readline().split()[-1]
    made = commands.run("tokens", "create", "site", "--master", url)
    join = made.stdout.split()[-1].replace(places[0], f"{places[1]},{places[2]}")
    worker = commands.start("worker", "--join", join, "--name", "n1", "--data", "worker", *media)
    assert worker.stdout is not None
    assert "worker n1 has joined" in worker.stdout.readline(), commands.log.read_text()
    with httpx2.Client(base_url=url, timeout=30) as http:

        def ended(job: str) -> None:
            wait_for(lambda: http.get(f"/jobs/{job}").json()["status"], lambda status: status == "completed")

        ended(_job(http))
        for server in servers[1:]:  # it is on one of these two; back again, it is whole for the other
            server.kill()
            ended(_job(http))
            server.start()
        worker.kill()
        node = http.get("/nodes").json()["nodes"][0]["id"]
        wait_for(lambda: http.get(f"/nodes/{node}").json()["status"], lambda status: status == "offline")
        metrics = http.get("/metrics").text
    assert 'reelmill_jobs_by_status{status="completed"} 3.0' in metrics
    with psycopg.connect(store) as connection:
        [[held]] = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reelmill'")
    assert 0 < held <= 2 + READERS + 1


def test_the_server_judges_the_file(tmp_path: Path) -> None:
    """`nats-server -t` takes it as it stands, and finds a mistake in it."""
    assert BINARY is not None
    (tmp_path / "reelmill.conf").write_text('listen: "0.0.0.0:4222"\n')
    file = tmp_path / "cluster.conf"
    for text, code in ((CONFIG, 0), (CONFIG.replace("routes:", "rotues:"), 1)):
        file.write_text(text)
        environment = os.environ | {"NATS_NAME": "nats-0"}
        end = subprocess.run([BINARY, "-t", "-c", file], env=environment, capture_output=True, text=True, check=False)
        assert code == end.returncode, end.stderr
