"""compose.yaml: by the schema of its makers, and by what reelmill, NATS and this folder know. Docker is not run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from reelmill.cli.commands import app
from reelmill.settings import Settings
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands
from tests.nats_server import BINARY

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILE = DEPLOY / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "${REELMILL_IMAGE:-reelmill}"}


def _judge(file: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "check-jsonschema"
    argv = [tool, "--no-cache", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_the_schema_of_compose_takes_it() -> None:
    """Every key is one of compose, every value of its kind."""
    end = _judge(FILE)
    assert 0 == end.returncode, end.stdout


@pytest.mark.parametrize(("good", "bad"), [("stop_grace_period", "stop_grace"), ("read_only: true", "read_only: [1]")])
def test_a_mistake_is_found(tmp_path: Path, good: str, bad: str) -> None:
    """The check itself can fail."""
    assert good in FILE.read_text()
    (tmp_path / "compose.yaml").write_text(FILE.read_text().replace(good, bad))
    assert 0 != _judge(tmp_path / "compose.yaml").returncode


def test_it_has_the_parts_of_a_fleet() -> None:
    """A master brings what it needs; a worker needs no database and knows no password of masters."""
    assert {"master", "worker", "postgres", "nats", "prometheus", "grafana"} <= SERVICES.keys()
    assert {"postgres", "nats"} == SERVICES["master"]["depends_on"].keys()
    assert "POSTGRES_PASSWORD" not in str(SERVICES["worker"])
    assert "BUS_PASSWORD" not in str(SERVICES["worker"])


def test_what_it_leans_on_is_there() -> None:
    """Services, volumes and files that are named exist, and so does the image's Dockerfile."""
    volumes = yaml.safe_load(FILE.read_text())["volumes"]
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= SERVICES.keys()
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in volumes, mount
    for service in OURS.values():
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_what_it_tells_reelmill_is_known() -> None:
    """Commands are commands, variables are settings."""
    known: Any = typer.main.get_command(app)
    assert ["worker"] == SERVICES["worker"]["command"]  # of a master it is the image's own
    assert {"master", "worker"} <= known.commands.keys()
    for service in OURS.values():
        for name in service["environment"]:
            assert name.removeprefix("REELMILL_").lower() in Settings.__struct_fields__, name


def test_what_must_be_set_stands_in_the_example() -> None:
    """A variable without a default is a line of .env.example; one with a password is never published beyond here."""
    example = (DEPLOY / ".env.example").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert (
        {"POSTGRES_PASSWORD", "BUS_PASSWORD"} == needed == needed & set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    )
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(port.startswith(("127.0.0.1:", "${BUS_ADDRESS:-127.0.0.1}:")) for port in ports)
    assert len(ports) == 3


def test_the_bus_gets_its_configuration_before_it_starts(commands: Commands) -> None:
    """The script of nats-config, run as it stands but in another folder, writes what the server takes."""
    service = SERVICES["nats-config"]
    assert "service_completed_successfully" == SERVICES["nats"]["depends_on"]["nats-config"]["condition"]
    [script] = service["command"]
    environment = commands.environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{commands.environment['PATH']}",
        "REELMILL_STORE": new_database(),
        "REELMILL_BUS": "nats://master:secret@nats:4222",
    }
    assert environment.keys() >= {"REELMILL_STORE", "REELMILL_BUS"} <= service["environment"].keys()
    shell = [*service["entrypoint"], script.replace("/config/", f"{commands.folder}/")]
    subprocess.run(shell, env=environment, check=True, timeout=60)
    file = commands.folder / "reelmill.conf"
    assert 0o600 == file.stat().st_mode & 0o777
    assert BINARY is not None
    end = subprocess.run([BINARY, "-t", "-c", file], capture_output=True, text=True, check=False)
    assert 0 == end.returncode, end.stderr
