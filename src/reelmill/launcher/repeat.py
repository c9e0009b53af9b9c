"""How to ask for a launch again: its command, from the ledger beside its results."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reelmill.errors import ReelmillError
from reelmill.launcher.ledger import Ledger, ledger_path

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class Submitted(NamedTuple):
    """What the ledger of a launch tells: the command that repeats it, and how many jobs the master refused."""

    command: str
    rejected: int


def read_submitted(results: Path, launch_id: str) -> Submitted | None:
    """What is known of the launch from the ledger of these results; None when it is another's, or there is none."""
    try:
        ledger = Ledger.open(ledger_path(results))
    except ReelmillError:
        return None
    try:
        if ledger.header.launch_id != launch_id:
            return None
        command = repeat_command(ledger.header.command, ledger.header.plan.seed)
        return Submitted(command, ledger.totals()["rejected"])
    finally:
        ledger.close()


def repeat_command(typed: Sequence[str], seed: int) -> str:
    """The command line that asks for the same jobs: with the seed that was drawn, without the secrets of a URL."""
    words = ["reelmill", *(_CREDENTIALS.sub("", word) for word in typed[1:])]
    if not any(word == "--seed" or word.startswith("--seed=") for word in words):
        words += ["--seed", str(seed)]
    return shlex.join(words)
