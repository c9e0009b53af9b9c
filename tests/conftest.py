"""What every test leans on: the project's root on the path, for `tests.samples`, and how Hypothesis searches."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# No deadline: a shared machine may pause anything. No database: a test run leaves nothing behind.
settings.register_profile("reelmill", max_examples=60, deadline=None, database=None)
settings.load_profile("reelmill")
