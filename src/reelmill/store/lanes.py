"""Lanes: jobs with equal needs wait in one of them, in the order of the farm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec
from sqlalchemy import TextClause, select, text

from reelmill.domain.capability import Needs
from reelmill.store.protocol import Tx
from reelmill.store.schema import lanes

MOST_LANES = 2_000
"""A claim looks at every lane that has ready jobs: what clients may write freely must not make it slow for all."""


class Waiting(NamedTuple):
    """A ready job in its lane; sorted, in the order of the farm."""

    rank: int
    sequence_number: int
    lane_id: int
    passed_over_at: float | None
    reserved_node: str | None


class Lane(NamedTuple):
    """A lane in which jobs are ready: the first of them, what every one of them needs, and whose they are."""

    head: Waiting
    needs: Needs
    has_limit: bool
    """Whether the tenant has a limit of jobs that run."""


_NEEDS_COLUMNS = (lanes.c.engine, lanes.c.codec, lanes.c.cost, lanes.c.tenant, lanes.c.node_labels)
_FIND = select(lanes.c.id).where(*(column == text(f":{column.name}") for column in _NEEDS_COLUMNS))
_INSERT = text(
    "INSERT INTO lanes (engine, codec, cost, tenant, node_labels) "
    "VALUES (:engine, :codec, :cost, :tenant, :node_labels) "
    "ON CONFLICT (engine, codec, cost, tenant, node_labels) DO NOTHING"
)
_COUNT = text("SELECT count(*) FROM lanes")
_OF_JOB = text(
    "SELECT l.engine, l.codec, l.cost, l.tenant, l.node_labels "
    "FROM jobs j JOIN lanes l ON l.id = j.lane_id WHERE j.sequence_number = :number"
)
# Each step jumps to the head of the next lane that has one: lanes without ready jobs, and all other jobs, cost nothing.
_READY = text("""
    WITH RECURSIVE heads(rank, sequence_number, lane_id, passed_over_at, reserved_node) AS (
        SELECT j.rank, j.sequence_number, j.lane_id, j.passed_over_at, j.reserved_node
        FROM jobs j WHERE j.sequence_number = (
            SELECT sequence_number FROM jobs WHERE ready ORDER BY lane_id, rank, sequence_number LIMIT 1
        )
        UNION ALL
        SELECT j.rank, j.sequence_number, j.lane_id, j.passed_over_at, j.reserved_node
        FROM heads h CROSS JOIN jobs j WHERE j.sequence_number = (
            SELECT sequence_number FROM jobs WHERE ready AND lane_id > h.lane_id
            ORDER BY lane_id, rank, sequence_number LIMIT 1
        )
    )
    SELECT h.*, l.engine, l.codec, l.cost, l.tenant, l.node_labels, t.max_running IS NOT NULL
    FROM heads h JOIN lanes l ON l.id = h.lane_id LEFT JOIN tenants t ON t.name = l.tenant
""")
_labels = msgspec.json.Decoder(dict[str, str])


def possible_lanes(tx: Tx, wanted: Sequence[Needs]) -> dict[Needs, int | None]:
    """The lane of jobs with each of these needs; None where `make_lane` may make one.

    Those for which there would be more than `MOST_LANES` are left out, the last ones first.
    """
    found = {needs: _find(tx, needs) for needs in wanted}
    missing = [needs for needs, lane_id in found.items() if lane_id is None]
    if missing:
        free = max(0, MOST_LANES - tx.execute(_COUNT).scalar_one())
        for needs in missing[free:]:
            del found[needs]
    return found


def make_lane(tx: Tx, needs: Needs) -> int:
    """A lane for jobs with these needs; another master may have been quicker to make it."""
    tx.execute(_INSERT, _values(needs))
    lane_id = _find(tx, needs)
    assert lane_id is not None, needs
    return lane_id


def _find(tx: Tx, needs: Needs) -> int | None:
    return tx.execute(_FIND, _values(needs)).scalar_one_or_none()


def needs_of(tx: Tx, sequence_number: int) -> Needs:
    """What that job needs."""
    return read_needs(*tx.execute(_OF_JOB, {"number": sequence_number}).one())


def ready_lanes(tx: Tx) -> list[Lane]:
    """The lanes in which a job waits that could run now; those in which none does cost nothing."""
    return [Lane(Waiting(*row[:5]), read_needs(*row[5:10]), bool(row[10])) for row in tx.execute(_READY).all()]


def read_lanes(tx: Tx, lane_ids: Collection[int], most: int) -> list[Waiting]:
    """At least the first ``most`` ready jobs of each of these lanes, in the order of the farm."""
    shown = 1 << (most - 1).bit_length()  # a power of two, for few statements: a database plans for a limit it can see
    if tx.dialect.name == "postgresql":
        statement, ids = _first_on_postgresql(shown), list(lane_ids)
    else:
        statement, ids = _first_on_sqlite(shown), msgspec.json.encode(list(lane_ids)).decode()
    return sorted(Waiting(*row) for row in tx.execute(statement, {"lane_ids": ids}).all())


@cache
def _first_on_sqlite(most: int) -> TextClause:
    return text(  # SQLite keeps to the order of a CROSS JOIN
        f"""
        SELECT j.rank, j.sequence_number, j.lane_id, j.passed_over_at, j.reserved_node
        FROM json_each(:lane_ids) l CROSS JOIN jobs j
        WHERE j.sequence_number IN (
            SELECT sequence_number FROM jobs WHERE ready AND lane_id = l.value
            ORDER BY rank, sequence_number LIMIT {most}
        )
        """  # noqa: S608  (a number of our own)
    )


@cache
def _first_on_postgresql(most: int) -> TextClause:
    return text(
        f"""
        SELECT j.rank, j.sequence_number, j.lane_id, j.passed_over_at, j.reserved_node
        FROM unnest(CAST(:lane_ids AS integer[])) AS l(id) CROSS JOIN LATERAL (
            SELECT rank, sequence_number, lane_id, passed_over_at, reserved_node FROM jobs
            WHERE ready AND lane_id = l.id
            ORDER BY rank, sequence_number LIMIT {most}
        ) j
        """  # noqa: S608  (a number of our own)
    )


def _values(needs: Needs) -> dict[str, object]:
    return {**needs._asdict(), "node_labels": msgspec.json.encode(dict(needs.node_labels)).decode()}


def read_needs(engine: str, codec: str, cost: int, tenant: str, node_labels: str) -> Needs:
    """What the columns of a lane say that its jobs need."""
    return Needs(engine, codec, cost, tenant, read_node_labels(node_labels))


@lru_cache(1000)
def read_node_labels(node_labels: str) -> tuple[tuple[str, str], ...]:
    """The names and values in a column of node labels, sorted by name."""
    return tuple(_labels.decode(node_labels).items())
