"""Which jobs a filter selects, and how they are found by an index in the order of their numbers.

An index such as (status, sequence_number) has the jobs of one status in that order. So a page of one status is a piece
of the index, and a page of several is a merge of as many pieces, none longer than the page: nothing is sorted that is
not shown. Of several filters with an index the one with the fewest jobs leads, as the kept counts know; jobs for which
the others do not hold are passed over, at most a slice of them at a time, and none before the first job of each filter:
what was completed lies behind what waits, so that it is skipped in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects import postgresql

from reelmill.domain.job import PRIORITIES, QUEUES, order_rank
from reelmill.store.protocol import Tx
from reelmill.store.schema import counts, jobs, launch_counts

T = TypeVar("T")

SLICE = 2_000
"""How many jobs one read may look at in vain."""

_MOST_VALUES = 50
"""A filter with more values does not lead: each would be a piece of its own."""

_number = jobs.c.sequence_number
_BEYOND = 2**63 - 1
"""More than any sequence number has; the first one is 1."""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: each list that is not empty must contain the job's value; every label must be there."""

    status: list[str] = []
    queue: list[str] = []
    priority: list[str] = []
    scenario: list[str] = []
    engine: list[str] = []
    launch: list[str] = []
    node: list[str] = []
    tenant: list[str] = []
    parent: list[str] = []
    """Chunks of these jobs; without it, jobs that are no chunks."""
    labels: dict[str, str] = {}


class _Lead(NamedTuple):
    """A filter with an index: jobs with one of ``values`` in ``column``, of which ``kept`` has counts."""

    column: sa.Column[Any]
    index_name: str
    values: set[Any]
    kept: sa.Table
    counted: ColumnElement[bool]


class Span(NamedTuple):
    """The numbers between two that do not belong to it, upwards or downwards."""

    low: int
    high: int
    downwards: bool

    @staticmethod
    def behind(after: int | None, *, downwards: bool) -> Span:
        """What comes behind ``after`` in that direction; everything without it."""
        if after is None:
            return Span(0, _BEYOND, downwards)
        return Span(0, after, downwards) if downwards else Span(after, _BEYOND, downwards)

    def beginning(self, first: int) -> Span:
        """The same with ``first`` as its first number."""
        return self._replace(high=first + 1) if self.downwards else self._replace(low=first - 1)

    def until(self, last: int) -> Span:
        """The same with ``last`` as its last number."""
        return self._replace(low=last - 1) if self.downwards else self._replace(high=last + 1)

    def sorted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column as an order of that direction."""
        return column.desc() if self.downwards else column.asc()


class Way(NamedTuple):
    """Along the jobs of ``lead``, or along all, to those of the other leads for which the ``conditions`` hold too."""

    lead: _Lead | None
    others: list[_Lead]
    conditions: list[ColumnElement[bool]]
    is_long: bool
    """Whether there may be more than a slice of jobs to pass over."""

    def select(self, tx: Tx, columns: Sequence[ColumnElement[Any]], span: Span, most: int) -> Select[Any]:
        """The first ``most`` jobs of the span that the way leads to."""
        numbers = self.numbers(tx, span, most)
        if self.lead is None or len(self.lead.values) == 1:
            return numbers.with_only_columns(*columns)
        return select(*columns).where(_number.in_(numbers)).order_by(span.sorted(_number))

    def numbers(self, tx: Tx, span: Span, most: int) -> Select[Any]:
        """Their sequence numbers, in order."""
        conditions = [*map(_holds, self.others), *self.conditions]
        if self.lead is None:
            inside = (_number > span.low, _number < span.high)
            return select(_number).where(*inside, *conditions).order_by(span.sorted(_number)).limit(most)
        pieces = [_piece(tx, self.lead, value, span).where(*conditions).limit(most) for value in self.lead.values]
        if len(pieces) == 1:
            return pieces[0]
        merged = sa.union_all(*(select(piece.subquery()) for piece in pieces)).subquery().c.sequence_number
        return select(merged).order_by(span.sorted(merged)).limit(most)

    def slice(self, tx: Tx, span: Span) -> tuple[Span, int | None] | None:
        """What one read may look at of the span, and its last number when more follows; None when nothing is left."""
        if self.lead is not None and self.others:
            firsts = [_along(lead).numbers(tx, span, 1).scalar_subquery() for lead in (self.lead, *self.others)]
            numbers = tx.execute(select(*firsts)).one()
            if None in numbers:
                return None
            span = span.beginning(min(numbers) if span.downwards else max(numbers))
        passed = _along(self.lead).numbers(tx, span, SLICE).subquery().c.sequence_number
        count, last = tx.execute(select(func.count(), func.min(passed) if span.downwards else func.max(passed))).one()
        return (span.until(last), last) if count == SLICE else (span, None)


def _along(lead: _Lead | None) -> Way:
    return Way(lead, [], [], False)


def _piece(tx: Tx, lead: _Lead, value: Any, span: Span) -> Select[Any]:
    """Numbers of the jobs with that value, in order."""
    found = select(_number).with_hint(jobs, f"INDEXED BY {lead.index_name}", "sqlite")
    if tx.dialect.name == "postgresql":
        # Only the index has this order: the planner is not tempted to go along the numbers of all jobs.
        place = sa.tuple_(lead.column, _number)
        inside = (place > sa.tuple_(value, span.low), place < sa.tuple_(value, span.high), lead.column.is_not(None))
        return found.where(*inside).order_by(span.sorted(lead.column), span.sorted(_number))
    return found.where(lead.column == value, _number > span.low, _number < span.high).order_by(span.sorted(_number))


def _holds(lead: _Lead) -> ColumnElement[bool]:
    """The filter as a condition: an expression, so that its index is no way for a planner, whatever it knows."""
    nothing = 0 if lead.column is jobs.c.rank else ""
    return (lead.column + nothing).in_(lead.values)


def find_way(tx: Tx, wanted: JobFilter) -> Way | None:
    """The shortest way to the jobs that the filter selects; None when there is no such job."""
    leads = _leads(wanted)
    conditions = _conditions(tx, wanted)
    if wanted.parent:  # no count knows of chunks
        lead = _Lead(jobs.c.parent_id, "jobs_by_parent", set(wanted.parent), counts, sa.false())
        return Way(lead, [], [*map(_holds, leads), *conditions], False)
    sizes = _count(tx, leads)
    if 0 in sizes:
        return None
    conditions += [_holds(lead) for lead in leads if len(lead.values) > _MOST_VALUES]
    short = [(size, lead) for size, lead in zip(sizes, leads, strict=False) if len(lead.values) <= _MOST_VALUES]
    size, shortest = min(short, key=lambda each: each[0], default=(_BEYOND, None))
    others = [lead for _, lead in short if lead is not shortest]
    is_long = bool(others or conditions) and size > SLICE
    return Way(shortest, others, [*conditions, jobs.c.parent_id.is_(None)], is_long)


def _leads(wanted: JobFilter) -> list[_Lead]:
    leads: list[_Lead] = []
    if wanted.status:
        counted = counts.c.status.in_(wanted.status)
        leads.append(_Lead(jobs.c.status, "jobs_by_status", set(wanted.status), counts, counted))
    if wanted.queue or wanted.priority:
        queues = _chosen(QUEUES, wanted.queue)
        priorities = _chosen(PRIORITIES, wanted.priority)
        ranks = {order_rank(queue, priority) for queue in queues for priority in priorities}
        counted = counts.c.queue.in_(queues) & counts.c.priority.in_(priorities)
        leads.append(_Lead(jobs.c.rank, "jobs_by_rank", ranks, counts, counted))
    if wanted.scenario:
        counted = counts.c.scenario.in_(wanted.scenario)
        leads.append(_Lead(jobs.c.scenario, "jobs_by_scenario", set(wanted.scenario), counts, counted))
    if wanted.launch:
        counted = launch_counts.c.launch_id.in_(wanted.launch)
        leads.append(_Lead(jobs.c.launch_id, "jobs_by_launch", set(wanted.launch), launch_counts, counted))
    return leads


def _chosen(choices: Sequence[T], wanted: list[str]) -> list[T]:
    return [choice for choice in choices if not wanted or choice in wanted]


def _count(tx: Tx, leads: Sequence[_Lead]) -> Sequence[int]:
    """How many jobs each of them has; then, how many have what all of them ask as far as the counts tell."""
    if not leads:
        return ()
    together = [lead.counted for lead in leads if lead.kept is counts]
    asked = [(lead.kept, [lead.counted]) for lead in leads] + ([(counts, together)] if together else [])
    by_name = {lead.column.name: lead for lead in leads}
    if "status" in by_name and "launch_id" in by_name:  # a launch without failures says so at once
        of_launch = [by_name["launch_id"].counted, launch_counts.c.status.in_(by_name["status"].values)]
        asked.append((launch_counts, of_launch))
    sums = [select(func.coalesce(func.sum(kept.c.n), 0)).where(*which).scalar_subquery() for kept, which in asked]
    return tx.execute(select(*sums)).one()


def _conditions(tx: Tx, wanted: JobFilter) -> list[ColumnElement[bool]]:
    """The filters that have no index."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.engine:
        conditions.append(jobs.c.engine.in_(wanted.engine))
    if wanted.tenant:
        conditions.append(jobs.c.tenant.in_(wanted.tenant))
    if wanted.node:
        conditions.append(jobs.c.node_id.in_(wanted.node) | jobs.c.node_name.in_(wanted.node))
    if wanted.labels:
        labels = sa.type_coerce(jobs.c.labels, sa.JSON)  # SQLite reads JSON from text, PostgreSQL wants to be told
        if tx.dialect.name == "postgresql":
            labels = sa.cast(jobs.c.labels, postgresql.JSONB)
        conditions += [labels[name].as_string() == value for name, value in wanted.labels.items()]
    return conditions
