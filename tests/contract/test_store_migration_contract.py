"""A database of an older reelmill is brought to the schema of this code with all that is in it, or left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from reelmill.errors import StartupError
from reelmill.store.identity import farm_id
from reelmill.store.postgres import PostgresStore, read_url
from reelmill.store.schema import REVISIONS, metadata
from reelmill.store.sqlite import SqliteStore
from tests.contract.conftest import new_database
from tests.farmhand import Farmhand
from tests.old_farm import HIGHEST_NUMBER, JOBS, SCRIPTS, OldFarm
from tests.samples import new_job


@pytest.fixture(params=["sqlite-file", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OldFarm]:
    """A database that the first reelmill left behind."""
    if request.param == "postgresql":
        url = new_database()
        made = OldFarm(create_engine(read_url(url)), lambda: PostgresStore(url))
    else:
        path = tmp_path / "farm.db"
        made = OldFarm(create_engine(f"sqlite:///{path}"), lambda: SqliteStore(path))
    yield made
    made.engine.dispose()


def test_the_code_knows_every_migration() -> None:
    """REVISIONS names them all, in their order."""
    assert REVISIONS == tuple(reversed([script.revision for script in ScriptDirectory(SCRIPTS).walk_revisions()]))


async def test_an_old_database_is_upgraded_with_all_that_is_in_it(old: OldFarm) -> None:
    """Jobs in every status, their history, logs, launches and counts; what is new has a value that changes nothing."""
    before = old.content()
    store = old.make_store()
    await store.start()
    await store.stop()
    after = old.content()

    assert [] == after.pop("tenants") == after.pop("secrets") == after.pop("tokens")
    assert 1 == len(after.pop("farm"))
    assert [{"tenant": "default", "waiting": 3}] == after.pop("tenant_counts")  # queued, retrying, paused
    assert [{"version_num": REVISIONS[-1]}] == after.pop("alembic_version")
    assert [{"version_num": "0001"}] == before.pop("alembic_version")
    for lane in before["lanes"]:
        lane |= {"tenant": "default", "node_labels": "{}"}
    for job in before["jobs"]:
        waits = job["status"] == "retrying" and not job["ready"]
        job |= {"parent_id": None, "chunk_plan": None, "chunks": 0, "chunks_left": 0}
        job |= {"engine_used": None, "engine_reason": None, "stream": None, "lost_attempts": "[]"}
        job |= {"definition": None, "node_labels": "{}", "due_at": job["eligible_at"] if waits else None}
        job |= {} if job["ready"] else {"passed_over_at": None, "reserved_node": None}  # only what waits is passed over
    assert before == after


async def test_an_upgraded_database_has_the_schema_of_a_new_one(old: OldFarm) -> None:
    """Tables, columns, indexes with their conditions, and CHECKs; and no foreign key points to where nothing is."""
    store = old.make_store()
    await store.start()
    await store.stop()
    with old.engine.connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), metadata)
        if connection.dialect.name == "sqlite":
            assert [] == connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            assert "ok" == connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            statement = "SELECT name, sql FROM sqlite_master ORDER BY name"
            upgraded = connection.exec_driver_sql(statement).all()
            fresh = SqliteStore(None)
            await fresh.start()
            assert upgraded == await fresh.write(lambda tx: tx.exec_driver_sql(statement).all())
            await fresh.stop()


async def test_an_upgraded_farm_goes_on(old: OldFarm) -> None:
    """Numbers behind the highest ever given, old jobs keep their lane, and a key that was used is still taken."""
    store = old.make_store()
    await store.start()
    farm = Farmhand(store)
    [job] = await farm.submit(new_job())
    assert HIGHEST_NUMBER + 1 == job.sequence_number
    assert sorted(JOBS) == sorted({old.status for old in await farm.jobs()})
    assert ["queued", "completed"] == [step.to_status for step in await farm.history("6")]
    key = await store.read(lambda tx: tx.execute(text("SELECT id FROM jobs WHERE idempotency_key = 'once'")).scalar())
    assert (await farm.job("6")).id == key
    await store.stop()


async def test_a_farm_keeps_the_id_that_it_was_given(old: OldFarm) -> None:
    """An old one gets it with the upgrade, and no start changes it; no two farms have the same."""
    found: list[str] = []
    for store in (old.make_store(), old.make_store(), SqliteStore(None), SqliteStore(None)):
        await store.start()
        found.append(await store.read(farm_id))
        await store.stop()
    assert found[0] == found[1]
    assert 3 == len(set(found))


async def test_an_interrupted_upgrade_leaves_the_old_database(old: OldFarm) -> None:
    """All or nothing: whatever stops it, the next start begins with what was there."""
    before = old.content(), old.shape()

    def stop(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "jobs_by_scenario" in statement:
            raise OperationalError(statement, None, OSError("the machine has had enough"))

    event.listen(Engine, "before_cursor_execute", stop)
    try:
        with pytest.raises(StartupError, match="the machine has had enough"):
            await old.make_store().start()
    finally:
        event.remove(Engine, "before_cursor_execute", stop)
    assert before == (old.content(), old.shape())

    store = old.make_store()
    await store.start()
    assert len(JOBS) == len(await Farmhand(store).jobs())
    await store.stop()


async def test_a_database_says_which_schema_it_has_without_being_changed(old: OldFarm, tmp_path: Path) -> None:
    """Before the upgrade and after it, whether a store has it open or not."""
    before = old.content(), old.shape()
    store = old.make_store()
    assert "0001" == store.read_revision()
    assert before == (old.content(), old.shape())
    await store.start()
    assert REVISIONS[-1] == old.make_store().read_revision()
    await store.stop()
    assert REVISIONS[-1] == old.make_store().read_revision()
    assert [] == [path.name for path in tmp_path.iterdir() if path.name != "farm.db"]


@pytest.mark.parametrize("newer", [f"{int(REVISIONS[-1]) + 1:04}", "10000", "9999", "00015"])
async def test_a_newer_schema_is_refused(old: OldFarm, newer: str) -> None:
    """Whatever its name sorts like; the sentence says what to do, and nothing is changed."""
    with old.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :newer"), {"newer": newer})
    before = old.content()
    option = "--store" if old.engine.dialect.name == "postgresql" else "--data"
    for _ in range(2):
        with pytest.raises(StartupError) as caught:
            await old.make_store().start()
        assert f"was written by a newer reelmill (schema {newer}, " in str(caught.value)
        assert str(caught.value).endswith(f"upgrade reelmill, or point {option} elsewhere")
        with pytest.raises(StartupError, match="newer"):
            old.make_store().read_revision()
    assert before == old.content()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DROP TABLE alembic_version", "is not a database of reelmill"),
        ("ALTER TABLE jobs RENAME TO works", "is not a database of reelmill"),
        ("DELETE FROM alembic_version", "does not say which schema it has"),
    ],
)
async def test_a_database_that_is_not_ours_is_refused(old: OldFarm, change: str, sentence: str) -> None:
    """Another program's tables are not ours to change."""
    with old.engine.begin() as connection:
        connection.execute(text(change))
    before = old.content()
    with pytest.raises(StartupError, match=sentence):
        await old.make_store().start()
    with pytest.raises(StartupError, match=sentence):
        old.make_store().read_revision()
    assert before == old.content()
