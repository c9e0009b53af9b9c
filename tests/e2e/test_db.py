"""`reelmill db`: which schema the database has, and its upgrade, as an operator types them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from reelmill.store.file_lock import FileLock
from reelmill.store.postgres import PostgresStore, read_url
from reelmill.store.schema import REVISION
from reelmill.store.sqlite import SqliteStore
from tests.contract.conftest import new_database
from tests.old_farm import JOBS, OldFarm

from .conftest import Commands

Place = tuple[str, str]
"""What an operator types to name the database: an option and its value."""


def old_file(folder: Path) -> Place:
    """A folder with the file of an old farm."""
    folder.mkdir()
    path = folder / "farm.db"
    engine = create_engine(f"sqlite:///{path}")
    OldFarm(engine, lambda: SqliteStore(path))
    engine.dispose()
    return "--data", str(folder)


def old_server() -> Place:
    """The URL of an old farm's database."""
    url = new_database()
    engine = create_engine(read_url(url))
    OldFarm(engine, lambda: PostgresStore(url))
    engine.dispose()
    return "--store", url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database of an older reelmill."""
    return old_file(tmp_path / "old") if request.param == "sqlite" else old_server()


def test_an_old_database_is_checked_and_upgraded(commands: Commands, place: Place) -> None:
    """Exit 1 and the way out before, 0 behind it; a second upgrade does nothing."""
    before = commands.run("db", "check", *place, "-o", "json")
    assert (1, "0001", REVISION, False) == (before.returncode, *read(before.stdout))
    assert "`reelmill db upgrade` does it" in before.stderr

    upgrade = commands.run("db", "upgrade", *place)
    assert (0, f"was upgraded from schema 0001 to {REVISION}\n") == (upgrade.returncode, upgrade.stdout[-38:])

    after = commands.run("db", "check", *place, "-o", "json")
    assert (0, REVISION, REVISION, True, "") == (after.returncode, *read(after.stdout), after.stderr)
    again = commands.run("db", "upgrade", *place)
    assert (0, f"has schema {REVISION} already\n") == (again.returncode, again.stdout[-24:])


def read(text: str) -> tuple[str, str, bool]:
    """The revision, the one needed, and whether they are the same."""
    record = json.loads(text)
    return record["revision"], record["needed"], record["up_to_date"]


def test_an_empty_database_gets_its_tables(commands: Commands) -> None:
    """On a server, where somebody else may have to make them; of a file that is not there it says who makes it."""
    place = "--store", new_database()
    empty = commands.run("db", "check", *place)
    assert (1, "there is no database yet; `reelmill up` makes it\n") == (empty.returncode, empty.stderr)
    made = commands.run("db", "upgrade", *place)
    assert (0, f"was made with schema {REVISION}\n") == (made.returncode, made.stdout[-26:])

    nothing = commands.run("db", "upgrade", "--data", "nowhere")
    assert (1, "") == (nothing.returncode, nothing.stdout)
    assert nothing.stderr.startswith("error: there is no database ")
    assert not (commands.folder / "nowhere").exists()


def test_up_upgrades_by_itself_and_keeps_its_file_to_itself(commands: Commands, tmp_path: Path) -> None:
    """While a farm has the file open it can be checked; and an upgrade says that there is nothing to do."""
    place = old_file(tmp_path / "data")
    farm = commands.up()
    assert len(JOBS) == farm.get("/jobs")["count"]
    assert 0 == commands.run("db", "check", *place).returncode
    assert 0 == commands.run("db", "upgrade", *place).returncode
    assert 0 == farm.stop()


def test_a_file_in_use_is_not_upgraded(commands: Commands, tmp_path: Path) -> None:
    """An older farm that still runs would go on with tables that it does not know: who it is, and what to do."""
    place = old_file(tmp_path / "data")
    lock = FileLock(tmp_path / "data" / "farm.lock")
    lock.acquire()
    try:
        refused = commands.run("db", "upgrade", *place)
        checked = commands.run("db", "check", *place, "-o", "json")
    finally:
        lock.release()
    assert (1, "") == (refused.returncode, refused.stdout)
    assert f"another master (process {os.getpid()}) already uses {place[1]}; stop it" in refused.stderr
    assert (1, "0001", REVISION, False) == (checked.returncode, *read(checked.stdout))
