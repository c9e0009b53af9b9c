"""What every test leans on: the project's root on the path, for `tests.samples`, and how Hypothesis searches."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# A shell that starts the tests in the background ignores Ctrl-C for them and for all that they start, and
# `nohup` a lost terminal; some of those are there to be interrupted.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)

# Started by root, the embedded PostgreSQL makes itself a user when there is none, with a program of this folder.
os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))

# No deadline: a shared machine may pause anything. No database: a test run leaves nothing behind. The same examples
# each time: what is red for one is red for all; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("reelmill", max_examples=60, deadline=None, database=None, derandomize=True)
settings.register_profile("search", settings.get_profile("reelmill"), max_examples=1000, derandomize=False)
settings.load_profile("reelmill")
