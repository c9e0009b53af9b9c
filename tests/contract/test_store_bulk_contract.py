"""Statements that take many rows at once: they must do what a statement for each row would."""

from __future__ import annotations

import pytest
from sqlalchemy import Double, Text, select

from reelmill.store.bulk import BulkInsert, BulkStatement
from reelmill.store.protocol import Store
from reelmill.store.schema import launches

INSERT = BulkInsert(launches, ("id", "name", "created_at"))
RENAME = BulkStatement(
    "UPDATE launches SET name = new.name, created_at = new.created_at FROM {new} WHERE launches.id = new.id",
    {"id": Text(), "name": Text(), "created_at": Double()},
)
AWKWARD = [
    "",
    "O'Hara",
    'say "x"',
    "tab\there",
    "line\nbreak\r\n",
    "back\\slash\\N",
    "\\.",
    "küche 🎬",
    "{a},(b)",
    "%s ?",
]


async def names(store: Store) -> dict[str, str | None]:
    """Every launch's name, by id."""
    rows = await store.read(lambda tx: tx.execute(select(launches.c.id, launches.c.name)).all())
    return {row.id: row.name for row in rows}


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200])
async def test_every_row_is_written_once(store: Store, count: int) -> None:
    """Whatever their number, of which databases take only some at once."""
    rows = [(f"L{number:03}", f"name {number}", float(number)) for number in range(count)]
    await store.write(lambda tx: INSERT.run(tx, rows))

    changed = await store.write(lambda tx: RENAME.run(tx, [(key, f"{name}!", at) for key, name, at in rows]))

    assert count == changed
    assert {key: f"{name}!" for key, name, _ in rows} == await names(store)


async def test_texts_arrive_as_they_are(store: Store) -> None:
    """No text means anything to the way in which rows travel; nothing is nothing."""
    texts = [*AWKWARD, None]
    await store.write(lambda tx: INSERT.run(tx, [(f"i{n}", text, 0.1) for n, text in enumerate(texts)]))
    await store.write(lambda tx: INSERT.run(tx, [(f"u{n}", "old", 0.1) for n in range(len(texts))]))
    await store.write(lambda tx: RENAME.run(tx, [(f"u{n}", text, 0.2) for n, text in enumerate(texts)]))

    kept = await names(store)

    assert texts == [kept[f"i{n}"] for n in range(len(texts))]
    assert texts == [kept[f"u{n}"] for n in range(len(texts))]


async def test_rows_that_match_nothing_are_not_counted(store: Store) -> None:
    """The number of changed rows is what a fence is checked by."""
    await store.write(lambda tx: INSERT.run(tx, [("a", "old", 1.0), ("b", "old", 1.0)]))

    changed = await store.write(lambda tx: RENAME.run(tx, [("a", "new", 1.0), ("gone", "new", 1.0)]))

    assert 1 == changed
    assert {"a": "new", "b": "old"} == await names(store)
