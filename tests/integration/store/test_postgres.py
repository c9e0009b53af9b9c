"""PostgreSQL itself: a server that dies, URLs and servers that will not do."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from reelmill.errors import SettingsError, StartupError, StoreUnavailable
from reelmill.store import postgres
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.submit import insert_jobs
from tests.contract.conftest import new_database, postgres_server
from tests.samples import new_job, new_jobs

DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()
"""


async def test_a_lost_server_is_told_and_forgotten() -> None:
    """While the connections are cut each request is refused with a sentence; afterwards the same store works on."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        assert 1 == len(await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0)))
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reelmill'"
        postgres_server().psql(cut)
        with pytest.raises(StoreUnavailable, match="nothing of this request was kept"):
            await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
        assert 1 == len(await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0)))
        jobs = await store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=10))
        assert 2 == len(jobs)
    finally:
        await store.stop()


async def test_a_server_lost_in_the_middle_of_a_commit_is_not_said_to_have_kept_nothing() -> None:
    """Nobody can know: the sentence says so, and what makes asking again safe."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        await store.write(lambda tx: tx.execute(text(DIE_AT_COMMIT)) and None)
        with pytest.raises(StoreUnavailable, match=r"is not known; ask again with the same idempotency key"):
            await store.write(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
    finally:
        await store.stop()


async def test_a_server_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its version, and the one that is needed."""
    monkeypatch.setattr(postgres, "_OLDEST", 990_000)

    with pytest.raises(StartupError, match=r"is PostgreSQL 18; 99 or newer is needed"):
        await PostgresStore(new_database()).start()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://nobody:secret@localhost/x", "the store mysql:… is not a postgresql:// URL"),
        ("postgresql://127.0.0.1:9/x?password=secret", "cannot use the store postgresql://127.0.0.1:9/x: "),
        ("farm.db", "the store of that name is not a postgresql:// URL"),
        ("postgresql://nobody:@localhost:secret/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:sec[ret@127.0.0.1:1/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:sec]ret@127.0.0.1:1/x", "cannot be read; write postgresql://"),
        ("postgresql://u:secret@h/x?host=a&host=b&port=3,4,5", "cannot be read; write postgresql://"),
        ("postgresql://u:secret@h/x?host=a&port=secret", "cannot be read; write postgresql://"),
        ("postgresql://u:secret@h/x?port=1&port=2&host=a", "cannot be read; write postgresql://"),
        ("postgresql://h/x?conninfo=secret", "has the option 'conninfo', which PostgreSQL does not know"),
        ("postgresql://h/x?row_factory=secret", "has the option 'row_factory', which PostgreSQL does not know"),
        ("postgresql://h/x?plugin=secret", "has the option 'plugin', which PostgreSQL does not know"),
        ("postgresql://u:p@h?secret=1@h/x", "cannot be read; write postgresql://"),
        ("postgresql://[::1/x", "cannot be read; write postgresql://"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", "cannot use the store postgresql://nobody:***@127.0.0.1:9/x"),
    ],
)
async def test_a_url_that_will_not_do_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    """What is wrong, where, and never the secret."""
    with pytest.raises((SettingsError, StartupError)) as caught:
        await PostgresStore(url).start()
    assert sentence in str(caught.value)
    assert not re.search(r"sec.?ret", str(caught.value))


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (("/test_", "/nobodys_"), 'database "nobodys_.*" does not exist; mend the name at the end of the URL, or make'),
        (("//postgres", "//stranger"), 'role "stranger" does not exist; mend the user in the URL, or make'),
        (("//postgres:@/", "//x:y@127.0.0.1:9/"), "Connection refused; is PostgreSQL running there, and are host"),
        (("//postgres:@/", "//x:y@nowhere.invalid/"), "resolve host .*; is PostgreSQL running there, and are host"),
    ],
)
async def test_a_database_that_cannot_be_used_says_what_to_do(change: tuple[str, str], advice: str) -> None:
    """A wrong name, user, port or host: what PostgreSQL said, and what to mend."""
    url = new_database().replace(*change)
    with pytest.raises(StartupError, match=advice):
        await PostgresStore(url.partition("?")[0] if "//x:y" in url else url).start()


async def test_text_in_any_script_is_kept_whatever_encoding_is_asked_for() -> None:
    """In the URL, or by PGCLIENTENCODING for other programs."""
    url = new_database()
    store = PostgresStore(f"{url}{'&' if '?' in url else '?'}client_encoding=latin1")
    await store.start()
    try:
        await store.write(lambda tx: insert_jobs(tx, [new_job(labels={"title": "映画 ž"})], 0.0))
        [job] = await store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=10))
    finally:
        await store.stop()
    assert {"title": "映画 ž"} == job.labels


async def test_a_role_that_may_not_make_tables_is_told_so() -> None:
    """As on any PostgreSQL 15 or newer, where nobody but the owner may: one sentence, for the first start."""
    url = new_database()
    database = url.partition("?")[0].rpartition("/")[2]
    postgres_server().psql(f"CREATE ROLE {database}_guest LOGIN")
    guest = re.sub("//[^@]*@", f"//{database}_guest@", url)
    with pytest.raises(
        StartupError, match=r"cannot use the store .*: permission denied for schema public; let the user"
    ):
        await PostgresStore(guest).start()


async def test_reads_cannot_write() -> None:
    """A read that tries to change something is refused by the database itself."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        with pytest.raises(StoreUnavailable, match="read-only transaction"):
            await store.read(lambda tx: insert_jobs(tx, new_jobs(1), 0.0))
    finally:
        await store.stop()


async def test_what_was_given_away_is_vacuumed_early() -> None:
    """Dead entries at the front of the index of ready jobs cost every claim: not a fifth of the table may gather."""
    store = PostgresStore(new_database())
    await store.start()
    try:
        set_to = text("SELECT unnest(reloptions) FROM pg_class WHERE relname = 'jobs'")
        options = await store.read(lambda tx: tx.execute(set_to).scalars().all())
    finally:
        await store.stop()
    assert {"autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=10000"} <= set(options)
