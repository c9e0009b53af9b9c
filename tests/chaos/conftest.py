"""Every test has a folder of its own, and whatever was started there is dead behind it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.chaos.mortal import marked
from tests.e2e.conftest import Commands


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
