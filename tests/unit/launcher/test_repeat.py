"""How to ask for a launch again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.launcher.ledger import Ledger, LedgerEntry, LedgerHeader, ledger_path
from reelmill.launcher.options import read_plan
from reelmill.launcher.repeat import read_submitted, repeat_command


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["/opt/x/reelmill", "launch", "--count", "10k"], "reelmill launch --count 10k --seed 7"),
        (["reelmill", "launch", "--seed", "9"], "reelmill launch --seed 9"),
        (["reelmill", "launch", "--seed=9", "--name", "a b"], "reelmill launch --seed=9 --name 'a b'"),
        (
            ["reelmill", "launch", "--master=https://me:secret@mill/", "--seed", "1"],
            "reelmill launch --master=https://mill/ --seed 1",
        ),
    ],
)
def test_the_command_repeats_the_same_jobs(typed: list[str], command: str) -> None:
    """Quoted for a shell, with the seed that was drawn, without a password."""
    assert command == repeat_command(typed, 7)


def test_the_ledger_tells_what_the_master_does_not_know(tmp_path: Path) -> None:
    """Only of its own launch, and only when there is one that can be read."""
    results = tmp_path / "r.json"
    assert read_submitted(results, "the-launch") is None
    header = LedgerHeader(
        launch_id="the-launch", name=None, plan=read_plan(seed=7), master="http://x", command=["x", "launch"]
    )
    ledger = Ledger.create(ledger_path(results), header)
    ledger.record([LedgerEntry(0, "accepted"), LedgerEntry(1, "rejected")])
    ledger.close()
    assert ("reelmill launch --seed 7", 1) == read_submitted(results, "the-launch")
    assert read_submitted(results, "another") is None
    ledger_path(results).write_text("this is no ledger, and long enough to be looked at as one of them" * 20)
    assert read_submitted(results, "the-launch") is None
