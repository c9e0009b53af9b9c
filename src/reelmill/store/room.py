"""Room: how many more jobs may wait in a queue, and of a tenant, before it takes no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import sqlalchemy as sa
from sqlalchemy import select

from reelmill.domain.job import QUEUES, WAITING, NewJob
from reelmill.errors import Full
from reelmill.store.counts import CountKey, Occupancy, Place, keep_below, read_waiting
from reelmill.store.protocol import Tx
from reelmill.store.schema import jobs

_MOST_ENDED = 2_000
"""More jobs that ended lately tell no more about how fast it goes."""

_queue_of = attrgetter("queue")
_tenant_of = attrgetter("tenant")


class Room:
    """What there is for jobs of these tenants, as one transaction sees it; each queue takes ``max_queued`` jobs.

    None for any number. A limit bounds what is submitted: retries and lost workers may put back more than it.
    """

    def __init__(self, tx: Tx, tenants: Iterable[str], max_queued: int | None) -> None:
        found = read_waiting(tx, set(tenants))
        if max_queued is not None:
            queues = {
                place: found.get(place, Occupancy(0, None)) for place in (Place("queue", name) for name in QUEUES)
            }
            found |= {place: Occupancy(there.waiting, max_queued) for place, there in queues.items()}
        self._waiting = {place: there.waiting for place, there in found.items()}
        self._limits = {place: there.limit for place, there in found.items() if there.limit is not None}

    def left(self, new: Sequence[NewJob]) -> Mapping[Place, int]:
        """How many more jobs each place that these ask for takes; those without a limit are left out."""
        return {place: max(0, self._limits[place] - self._waiting[place]) for place in self._count(new)}

    def lacks(self, new: Sequence[NewJob]) -> list[Full]:
        """For each place that cannot take all of these, why."""
        return [
            Full(*place, waiting=self._waiting[place], limit=self._limits[place], asked=n)
            for place, n in self._count(new).items()
            if self._waiting[place] + n > self._limits[place]
        ]

    def take(self, tx: Tx, new: Sequence[NewJob]) -> Full | None:
        """Give these their room until the commit, or say why there is none for all of them."""
        lacks = self.lacks(new)
        if lacks:
            return lacks[0]
        for place, n in self._count(new).items():
            self._waiting[place] += n
            keep_below(tx, {place: self._limits[place]})
        return None

    def _count(self, new: Sequence[NewJob]) -> dict[Place, int]:
        """How many of these jobs each place that has a limit would hold."""
        asked = {Place("queue", name): n for name, n in Counter(map(_queue_of, new)).items()}
        asked |= {Place("tenant", name): n for name, n in Counter(map(_tenant_of, new)).items()}
        return {place: n for place, n in asked.items() if place in self._limits}


def waiting_by_queue(counts: Mapping[CountKey, int]) -> dict[str, int]:
    """How many jobs wait in each queue."""
    waiting: dict[str, int] = dict.fromkeys(QUEUES, 0)
    for key, n in counts.items():
        if key.status in WAITING:
            waiting[key.queue] += n
    return waiting


def full_queues(counts: Mapping[CountKey, int], max_queued: int | None) -> list[str]:
    """The queues that take no more jobs."""
    return [name for name, n in waiting_by_queue(counts).items() if max_queued is not None and n >= max_queued]


def drain_rate(tx: Tx, kind: str, name: str, now: float, seconds: float) -> float:
    """How many jobs a second of the queue or tenant ended in the last ``seconds``: as many others began."""
    column = {"queue": jobs.c.queue, "tenant": jobs.c.tenant}[kind]
    newest = (
        select(jobs.c.completed_at, column.label("name"))
        .where(jobs.c.completed_at > now - seconds, jobs.c.parent_id.is_(None))
        .order_by(jobs.c.completed_at.desc())
        .limit(_MOST_ENDED)
        .subquery()
    )
    mine = sa.func.count().filter(newest.c.name == name)
    ended, ended_here, oldest = tx.execute(select(sa.func.count(), mine, sa.func.min(newest.c.completed_at))).one()
    span = seconds if ended < _MOST_ENDED else max(now - oldest, 0.001)
    return ended_here / span
