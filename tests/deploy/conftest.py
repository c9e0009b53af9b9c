"""Commands of their own folder, as in the tests of commands."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.conftest import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Generator[Commands, None, None]:
    commands = Commands(tmp_path)
    yield commands
    commands.end_all()
