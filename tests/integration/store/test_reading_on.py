"""The history of PostgreSQL as one stream: its numbers are committed in another order than they are given."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from reelmill.store.events import Mark, Reading, newest_step, read_on, writers_now
from reelmill.store.postgres import PostgresStore, read_url
from tests.contract.conftest import new_database
from tests.farmhand import Farmhand
from tests.samples import new_job

_STEP = text(
    "INSERT INTO history (sequence_number, at, from_status, to_status, attempt, reason) "
    "VALUES (1, 1.0, 'queued', 'running', 1, '') RETURNING id"
)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """A database with one job."""
    url = new_database()
    store = PostgresStore(url)
    await store.start()
    await Farmhand(store).submit(new_job())
    await store.stop()
    made = create_engine(read_url(url))
    yield made
    made.dispose()


def write(connection: Connection) -> int:
    """The number of a step that is not committed yet."""
    return connection.execute(_STEP).scalar_one()


class Reader:
    """Reads on, each time in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.mark = Mark(0)

    def read(self, most: int = 100) -> list[int]:
        with self._engine.connect() as connection:
            reading: Reading = read_on(connection, self.mark, most)
        self.mark = reading.mark
        return [step.id for step in reading.steps]


def test_what_comes_behind_a_number_that_is_on_its_way_waits_for_it(engine: Engine) -> None:
    """However often it is looked for, and whoever else writes meanwhile."""
    reader = Reader(engine)
    with engine.connect() as slow, engine.connect() as quick:
        late = write(slow)
        early = write(quick)
        quick.commit()
        assert [] == reader.read() + reader.read()
        last = write(quick)
        quick.commit()
        assert [] == reader.read()
        slow.commit()
        assert [late, early, last] == reader.read()
    assert [] == reader.read()


def test_a_number_that_never_comes_holds_nobody_up(engine: Engine) -> None:
    """Once its transaction has ended: rolled back, or with its server; not before."""
    reader = Reader(engine)
    with engine.connect() as slow, engine.connect() as quick, engine.connect() as other:
        write(slow)
        first = write(quick)
        quick.commit()
        assert [] == reader.read()
        still = write(other)
        slow.rollback()
        assert [first] == reader.read() + reader.read()
        behind = write(quick)
        quick.commit()
        assert [] == reader.read()
        other.commit()
        assert [still, behind] == reader.read() + reader.read()


def test_many_numbers_come_in_slices_whole_and_in_order(engine: Engine) -> None:
    """Also around a hole."""
    reader = Reader(engine)
    numbers: list[int] = []
    with engine.connect() as writer:
        for _ in range(10):
            numbers.append(write(writer))
            writer.commit()
            write(writer)
            writer.rollback()
    seen: list[int] = []
    for _ in range(30):
        seen += reader.read(3)
    assert numbers == seen


def test_a_beginning_is_behind_all_that_is_committed_once_its_writers_have_ended(engine: Engine) -> None:
    """A step that was under way when somebody began to listen lies before the beginning or is heard."""
    with engine.connect() as slow, engine.connect() as quick:
        write(slow)
        newest = write(quick)
        quick.commit()
        with engine.connect() as connection:
            mark = newest_step(connection)
            assert (newest, 1) == (mark.id, len(mark.writers))
            assert mark.writers == writers_now(connection)
        slow.commit()
        with engine.connect() as connection:
            assert not mark.writers & writers_now(connection)
