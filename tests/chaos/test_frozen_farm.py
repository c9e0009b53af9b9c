"""A farm that is frozen past its leases, with a write under way, and comes back late."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Generator

import psycopg
import pytest

from reelmill.store.postgres import PostgresStore
from tests.chaos.aftermath import read_aftermath
from tests.chaos.bad_engine import BAD_BITRATE, make_bad_engine
from tests.chaos.conftest import Figures
from tests.chaos.mortal import MortalFarm
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

LEAVE_A_MARK = """
"$real" "$@" || exit $?
for output; do :; done
printf '\\000\\000\\000\\015freenorth' >> "${output#file:}"
exit 0
"""
"""An encode with a box behind it that players skip: so the same picture is not the same file."""
_LOCK = 4_242
SETTLING_WAITS = f"""
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared({_LOCK}); RETURN NEW; END';
CREATE TRIGGER waits BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.winner IS NOT NULL AND OLD.winner IS NULL)
    EXECUTE FUNCTION waits()
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"


@contextlib.contextmanager
def settling_stopped(url: str) -> Generator[psycopg.Connection, None, None]:
    """Until the end of the block each write that settles a job waits in the middle of its transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SETTLING_WAITS.encode())
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield connection


def test_what_a_frozen_farm_does_when_it_wakes_changes_nothing(commands: Commands, figures: Figures) -> None:
    """P3, P4: frozen while it settles one job and encodes another, it is too late for both when it wakes.

    Its transaction holds up the others for seconds at most, its settling is refused, its engine ends within two
    seconds, and the output in place is the one of the farm that took over.
    """
    url = new_database()
    shared = {"REELMILL_STORE": url, "REELMILL_LEASE_SECONDS": "5", "REELMILL_RETRY_BASE_SECONDS": "0.1"}
    engine = make_bad_engine(commands.folder, LEAVE_A_MARK)
    north = MortalFarm(commands, "north", REELMILL_FFMPEG=engine, REELMILL_SLOTS="2", **shared)
    south = MortalFarm(commands, "south", REELMILL_SLOTS="2", **shared)
    north.start()
    north.up()
    [endless] = north.submit(duration=3600)
    wait_for(north.engines, lambda engines: len(engines) == 1)
    with settling_stopped(url) as connection:
        [settling] = north.submit(bitrate=BAD_BITRATE)
        wait_for(lambda: connection.execute(WAITING).fetchone(), lambda row: row == (1,))
        north.process.send_signal(signal.SIGSTOP)

    south.start()
    south.up()
    asked = time.monotonic()
    [other] = south.submit()
    answered_after = time.monotonic() - asked
    job = south.ended(settling)
    assert ("completed", 2, "south") == (job["status"], job["attempt"], job["node_name"])
    wait_for(lambda: south.get(f"/jobs/{endless}"), lambda job: (job["status"], job["attempt"]) == ("running", 2))

    assert 1 == len(north.engines())
    north.process.send_signal(signal.SIGCONT)
    woken = time.monotonic()
    wait_for(north.engines, lambda engines: not engines, 2)
    engine_ended_after = time.monotonic() - woken
    wait_for(lambda: north.metric("reelmill_stale_reports_total"), lambda stale: stale > 0)
    south.act(endless, "cancel")
    assert ["completed"] == north.statuses([other])
    assert 1 == north.metric("reelmill_stale_reports_total"), "one late write was injected"
    for farm in (north, south):
        farm.stop()
    after = asyncio.run(read_aftermath(PostgresStore(url), commands.media))
    assert [] == after.violations([settling, endless, other])
    assert b"freenorth" not in (commands.media / job["result"]["output"]).read_bytes()
    figures(f"submission held up for {answered_after:.1f} s; late engine dead {engine_ended_after:.3f} s after waking")
