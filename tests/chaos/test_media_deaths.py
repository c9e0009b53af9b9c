"""Media over HTTP, and whoever carries them dies at the worst moment."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.chaos.conftest import Figures
from tests.chaos.injection import injected
from tests.e2e.conftest import wait_for
from tests.e2e.fleet import Fleet, kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_HOLD_THE_SETTLE = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE UPDATE ON jobs FOR EACH ROW
WHEN (OLD.winner IS NULL AND NEW.winner IS NOT NULL) EXECUTE FUNCTION hold();
"""
_HELD = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


@contextmanager
def database(fleet: Fleet) -> Generator[psycopg.Connection, None, None]:
    with psycopg.connect(fleet.store, autocommit=True) as connection:
        yield connection


def value(connection: psycopg.Connection, statement: str) -> Any:
    """The one value of a SELECT."""
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def outputs(fleet: Fleet) -> list[Path]:
    """The files that are in place."""
    return [path for path in (fleet.folder / "media" / "outputs").rglob("*") if path.is_file()]


def is_published_once(fleet: Fleet, job: dict[str, Any]) -> bool:
    """Whether its output is the only one, and the file that the store says."""
    [output] = outputs(fleet)
    found = hashlib.sha256(output.read_bytes()).hexdigest(), str(output.relative_to(fleet.folder / "media"))
    return found == (job["result"]["sha256"], job["result"]["output"])


def test_a_worker_that_dies_between_settling_and_publishing_encodes_nothing_again(fleet: Fleet) -> None:
    """P3: its output is with the masters; another worker has it put into its place."""
    fleet.master(REELMILL_LEASE_SECONDS="4", REELMILL_BEAT_SECONDS="1")
    doomed = fleet.far_worker("doomed", REELMILL_BEAT_SECONDS="1")
    with database(fleet) as connection:
        connection.execute(_HOLD_THE_SETTLE)
        fleet.post("/jobs", {"scenario": "480p30-h264", "parameters": {"duration": 1}})
        wait_for(lambda: value(connection, _HELD), bool)
        os.killpg(doomed.pid, signal.SIGSTOP)  # it never hears that it has won
        wait_for(lambda: value(connection, "SELECT winner FROM jobs"), bool)
        kill(doomed)
        assert ("running", []) == (value(connection, "SELECT status FROM jobs"), outputs(fleet))
    fleet.far_worker("heir", REELMILL_BEAT_SECONDS="1")
    [job] = fleet.until_ended(1)
    assert ("completed", 1) == (job["status"], job["attempt"])
    assert is_published_once(fleet, job)


def test_a_master_that_dies_in_the_middle_of_an_upload_is_gone_on_with_by_the_next(
    fleet: Fleet, figures: Figures
) -> None:
    """The worker sends the rest to the other master; nothing is encoded again, and what arrived is what was sent."""
    dying = fleet.master()
    fleet.far_worker("far", "--slots", "4")
    attempts = fleet.folder / "media" / ".reelmill" / "attempts"

    def arrived() -> int:
        return sum(path.stat().st_size for path in attempts.rglob("upload.part"))

    with injected(dying.pid, fleet.folder, "pwrite64", "delay_enter=1000000"):  # a disk that takes a MiB a second
        fleet.post("/jobs", {"scenario": "480p30-h264", "parameters": {"duration": 10, "bitrate": "8M"}})
        before = wait_for(arrived, bool, 120)
        kill(dying)
        before = arrived()
    fleet.master()
    [job] = fleet.until_ended(1)
    assert ("completed", 1) == (job["status"], job["attempt"])
    assert is_published_once(fleet, job)
    size = job["result"]["size_bytes"]
    assert 0 < before < size
    figures(f"a master died when {before:,} of {size:,} bytes had arrived")
