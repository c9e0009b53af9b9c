"""Every test has a folder of its own, and whatever was started there is dead behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.chaos.mortal import marked
from tests.chaos.network import Network
from tests.chaos.site import Site
from tests.e2e.conftest import Commands, fleet

__all__ = ["fleet"]  # a fixture of theirs, with the commands of ours

Figures = Callable[[str], None]


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    """Shows a line of figures, also when the test passes; nothing is asserted about how fast a busy machine is."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return show


@pytest.fixture
def commands(tmp_path: Path) -> Generator[Commands, None, None]:
    """Runs `reelmill` in the test's folder; ends what is left of it, and fails when something had outlived its farm."""
    commands = Commands(tmp_path)
    yield commands
    commands.end_all()
    left = list(marked(tmp_path))
    for process in left:
        process.kill()
    assert [] == left


@pytest.fixture
def site(commands: Commands) -> Generator[Site, None, None]:
    """Two masters and three workers, each a machine, and three nats-servers."""
    made = Site(commands, Network())
    yield made
    made.close()
