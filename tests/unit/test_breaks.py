"""The breaks on purpose (`scripts/break`) fit the code, the tests and the docs of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.breaks.broken import Break
from tests.breaks.table import BREAKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "breaking.md").read_text()


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_each_break_can_be_made_and_is_documented(broken: Break) -> None:
    """Its text is in the code, once; the test that catches it exists; docs/breaking.md has both."""
    assert broken.new in broken.apply((ROOT / broken.file).read_text())
    [suite, *_] = broken.tests
    assert re.search(rf"^(?:async )?def {broken.caught_by}\(", (ROOT / suite).read_text(), re.MULTILINE)
    assert f"| {broken.name} | " in PAGE
    assert f"`{broken.caught_by}`" in PAGE
