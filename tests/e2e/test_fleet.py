"""A fleet: PostgreSQL, NATS, masters and workers as processes of their own."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Commands, Farm, wait_for
from tests.e2e.fleet import Fleet, engines_of, kill
from tests.nats_server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = {"scenario": "480p30-h264", "parameters": {"duration": 1}}
LONG = {"scenario": "1080p60-h264", "parameters": {"duration": 300}}


def running_on(fleet: Fleet, job: str) -> str | None:
    seen = fleet.get(f"/jobs/{job}")
    return seen["node_name"] if seen["status"] == "running" else None


def test_jobs_given_to_either_master_are_done_by_either_worker(fleet: Fleet) -> None:
    """Each once, with its output in place; a worker that stops says goodbye, a master that stops is not missed."""
    first = fleet.master()
    fleet.master()
    join = fleet.token()
    workers = [fleet.worker(join, name, "--slots", "2") for name in ("a", "b")]
    assert {"a": "online", "b": "online"} == fleet.nodes()
    for number in range(20):
        fleet.post("/jobs", SHORT, master=number % 2)
    jobs = fleet.until_ended(20)
    assert {"completed"} == {job["status"] for job in jobs}
    assert {"a", "b"} == {job["node_name"] for job in jobs}
    assert {1} == {job["attempt"] for job in jobs}

    first.send_signal(signal.SIGTERM)
    assert 0 == first.wait(60)
    for _ in range(4):
        fleet.post("/jobs", SHORT)
    assert {"completed"} == {job["status"] for job in fleet.until_ended(24)}
    for worker in workers:
        worker.send_signal(signal.SIGINT)
        assert 0 == worker.wait(60)
    assert {"a": "offline", "b": "offline"} == fleet.nodes()


def run_some(farm: Farm) -> set[str]:
    """The nodes that ran four jobs."""
    ids = [farm.post("/jobs", SHORT)["id"] for _ in range(4)]
    jobs = wait_for(
        lambda: [farm.get(f"/jobs/{one}") for one in ids],
        lambda seen: all(job["status"] == "completed" for job in seen),
        seconds=180,
    )
    return {job["node_name"] for job in jobs}


def listening(farm: Farm) -> set[str]:
    """The addresses on which the farm and its children listen."""
    family = [psutil.Process(farm.process.pid), *farm.family()]
    found = [connection for process in family for connection in process.net_connections("tcp")]
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


def test_up_with_a_fleet_says_how_to_join_and_runs_what_others_do(commands: Commands, tmp_path: Path) -> None:
    """Its line works as printed, also behind its next start; the API makes further tokens. Loopback only."""
    port = str(free_port())
    where = ["--name", "guest", "--data", str(tmp_path / "guest"), "--media", str(commands.media), "--slots", "1"]
    for name in ("first", "second"):
        farm = commands.up("--fleet", "--bus-port", port, "--slots", "1")
        assert farm.process.stdout is not None
        line = farm.process.stdout.readline().split()
        assert ["reelmill", "worker", "--join"] == line[:-1]
        wait_for(lambda: commands.log.read_text().count("but only from this machine"), lambda told: told >= 1)
        made = commands.run("tokens", "create", name, "--master", farm.url).stdout.split()
        for join in (line[-1], made[-1]):
            joined = commands.start("worker", "--join", join, *where)
            assert joined.stdout is not None
            assert "worker guest has joined" in joined.stdout.readline(), commands.log.read_text()
            assert "guest" in run_some(farm)
            joined.send_signal(signal.SIGINT)
            assert 0 == joined.wait(60)
        assert {"127.0.0.1"} == listening(farm)
        assert 0 == farm.stop()


def test_a_nats_server_that_dies_is_started_again(commands: Commands, tmp_path: Path) -> None:
    """The farm goes on by itself."""
    farm = commands.up("--fleet", "--bus-port", str(free_port()))
    [server] = [child for child in farm.family() if child.name() == "nats-server"]
    server.kill()
    run_some(farm)
    assert 0 == farm.stop()


def test_a_taken_bus_port_is_one_line(commands: Commands, tmp_path: Path) -> None:
    """It says what to do about it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        commands.media.mkdir()
        ended = commands.run("up", "--fleet", "--port", "0", "--bus-port", port, "--data", str(tmp_path / "data"))
    assert 1 == ended.returncode
    advice = "stop what uses it, or choose another with --bus-port"
    assert ("", f"error: port {port} is in use; {advice}\n") == (ended.stdout, ended.stderr)


def test_a_dead_worker_is_noticed_by_its_connection(fleet: Fleet) -> None:
    """Its job runs elsewhere long before its lease of ten minutes runs out."""
    fleet.master(REELMILL_LEASE_SECONDS="600")
    join = fleet.token()
    dying = fleet.worker(join, "dying")
    job = fleet.post("/jobs", LONG)["id"]
    wait_for(lambda: running_on(fleet, job), lambda node: node == "dying")
    fleet.worker(join, "heir")
    kill(dying)
    wait_for(lambda: running_on(fleet, job), lambda node: node == "heir")
    assert {"dying": "offline", "heir": "online"} == fleet.nodes()
    assert 2 == fleet.get(f"/jobs/{job}")["attempt"]


def test_a_worker_whose_token_is_revoked_is_believed_no_more(fleet: Fleet) -> None:
    """Its job runs elsewhere; it is told so, ends what it runs and itself, and does not get in again."""
    fleet.master(REELMILL_LEASE_SECONDS="3", REELMILL_BEAT_SECONDS="1")
    lost = fleet.worker(fleet.token("lost"), "lost", REELMILL_BEAT_SECONDS="1")
    job = fleet.post("/jobs", LONG)["id"]
    wait_for(lambda: running_on(fleet, job), lambda node: node == "lost")
    engines = engines_of(lost)
    fleet.worker(fleet.token("good"), "good")
    assert 0 == fleet.commands.run("tokens", "revoke", "lost", "--master", fleet.urls[-1]).returncode
    wait_for(lambda: running_on(fleet, job), lambda node: node == "good")
    began = time.monotonic()
    assert 1 == lost.wait(30)
    assert time.monotonic() - began < 20
    log = fleet.commands.log.read_text()
    assert "error: the token with which lost joined is revoked" in log
    assert "Traceback" not in log
    assert not any(psutil.pid_exists(pid) for pid in engines)


def test_a_worker_with_a_wrong_token_is_refused_in_one_line(fleet: Fleet) -> None:
    """And so is one that finds nobody."""
    fleet.master()
    join = fleet.token()
    scheme, _, place = join.rpartition("@")
    wrong = f"{scheme[:-6]}AAAAAA@{place}"
    for url, what in ((wrong, "refuses the credentials"), (f"{scheme}@127.0.0.1:1", "cannot reach the bus")):
        ended = fleet.commands.run("worker", "--join", url, "--media", str(fleet.folder), "--data", str(fleet.folder))
        assert 1 == ended.returncode, ended.stderr
        assert what in ended.stderr
        assert "Traceback" not in ended.stderr


def test_nothing_is_lost_when_the_bus_goes_away_for_a_while(fleet: Fleet) -> None:
    """Leases outlive it: what ran goes on, each job once."""
    fleet.master()
    fleet.worker(fleet.token(), "a", "--slots", "2")
    for _ in range(8):
        fleet.post("/jobs", SHORT)
    wait_for(lambda: fleet.jobs(status="completed"), bool)
    fleet.nats.kill()
    for _ in range(4):
        fleet.post("/jobs", SHORT)
    fleet.nats.start()
    jobs = fleet.until_ended(12)
    assert [("completed", 1)] * 12 == [(job["status"], job["attempt"]) for job in jobs]


def test_a_worker_stops_at_once_when_master_and_bus_are_gone(fleet: Fleet) -> None:
    """There is nobody to take leave of."""
    master = fleet.master()
    workers = [fleet.worker(fleet.token(name), name) for name in ("a", "b")]
    kill(master)
    fleet.nats.kill()
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    assert [0, 0] == [worker.wait(20) for worker in workers]


def test_a_cancel_reaches_an_engine_on_another_node(fleet: Fleet) -> None:
    """Through a master that never met that worker."""
    fleet.master()
    fleet.master()
    worker = fleet.worker(fleet.token(), "a")
    job = fleet.post("/jobs", LONG, master=0)["id"]
    wait_for(lambda: engines_of(worker), bool)
    fleet.post(f"/jobs/{job}/cancel", master=1)
    wait_for(lambda: engines_of(worker), lambda left: not left, 5)
    assert "canceled" == fleet.get(f"/jobs/{job}", master=0)["status"]
