"""docs/fleet.md takes a newcomer from one machine to three: every command of it is typed on machines of a network."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.chaos.network import Machine, Network
from tests.e2e.conftest import Commands, wait_for

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "fleet.md").read_text()
PART = PAGE.partition("\n## From one machine to three\n")[2].partition("\n## ")[0]
STEPS = [line for block in re.findall(r"```sh\n(.*?)```", PART, re.DOTALL) for line in block.splitlines()]
HOST = "first-machine"


@pytest.fixture
def network() -> Generator[Network, None, None]:
    made = Network()
    yield made
    made.close()


class Newcomer:
    """Types commands on machines; each machine has a home of its own."""

    def __init__(self, commands: Commands, first: Machine) -> None:
        self.commands = commands
        self.first = first
        self.join = ""

    def _argv(self, line: str) -> list[str]:
        """What is typed: the page's line, with the address of the first machine and the line that it had printed."""
        word, *rest = shlex.split(re.sub(r"reelmill://\S+", self.join, line).replace(HOST, self.first.address))
        assert "reelmill" == word
        return rest

    def start(self, line: str, machine: Machine) -> subprocess.Popen[str]:
        return self.commands.start(*self._argv(line), prefix=machine.prefix, HOME=str(self._home(machine)))

    def run(self, line: str, machine: Machine) -> str:
        ended = self.commands.run(
            *self._argv(line), prefix=machine.prefix, seconds=300, HOME=str(self._home(machine)),
            REELMILL_MASTER=f"http://{self.first.address}:8080",
        )  # fmt: skip
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout

    def _home(self, machine: Machine) -> Path:
        home = self.commands.folder / machine.name
        home.mkdir(exist_ok=True)
        return home


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_machines_in_less_than_ten_commands(commands: Commands, network: Network) -> None:
    """As the page has them, in their order; the second command is typed on two machines."""
    first, *others = (network.machine(name) for name in (HOST, "second-machine", "third-machine"))
    newcomer = Newcomer(commands, first)
    up, join, *rest = STEPS
    assert len(STEPS) + 1 < 10

    farm = newcomer.start(up, first)
    assert "is up: http" in first_line(farm), commands.log.read_text()
    printed = first_line(farm).split()
    assert shlex.split(join)[:3] == printed[:3] == ["reelmill", "worker", "--join"]
    newcomer.join = printed[3]
    for machine in others:
        assert "has joined" in first_line(newcomer.start(f"{join} --name {machine.name}", machine))

    said = [
        newcomer.run(line.replace("--count 300", "--count 12 --duration 1 --scenario 480p30-h264"), first)
        for line in rest
    ]
    nodes = wait_for(
        lambda: newcomer.run("reelmill nodes list -o json", first), lambda text: text.count('"online"') == 3
    )
    assert all(machine.name in nodes for machine in others)
    assert any("reelmill worker --join reelmill://" in text for text in said)
