"""A farm without a master: the store's own functions, called as a master calls them, at times that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reelmill.domain.attempt import AttemptKey, AttemptReport, BeatAnswer, Grant, Progress
from reelmill.domain.job import Job, NewJob
from reelmill.domain.node import NodeInfo
from reelmill.store.attempts import SignOfLife, beat_all, expire_leases, report, say_goodbye
from reelmill.store.claim import claim
from reelmill.store.control import Action, act
from reelmill.store.listing import JobFilter, Transition, get_job, list_jobs, read_history
from reelmill.store.protocol import Store, Tx
from reelmill.store.submit import Accepted, Answer, ensure_launch, insert_jobs
from reelmill.store.transition import Rules
from tests.samples import LEASE, NOW, offer, published, rules, settled, started

T = TypeVar("T")


class Farmhand:
    """Does to a store what masters do. ``after`` is always seconds from NOW."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def change(self, work: Callable[[Tx, Rules], T], after: float = 0.0) -> T:
        """Write with the rules of that moment."""
        return await self.store.write(lambda tx: work(tx, rules(after)))

    async def submit(self, *jobs: NewJob, launch: str | None = None, after: float = 0.0) -> list[Job]:
        """Store the jobs; each must be accepted."""
        answers = await self.offer_jobs(*jobs, launch=launch, after=after)
        return [answer.job for answer in answers if isinstance(answer, Accepted)]

    async def offer_jobs(
        self,
        *jobs: NewJob,
        launch: str | None = None,
        after: float = 0.0,
        max_queued: int | None = None,
        together: bool = False,
    ) -> list[Answer]:
        """What the store says to the jobs."""

        def work(tx: Tx, rules: Rules) -> list[Answer]:
            if launch is not None:
                ensure_launch(tx, launch, None, rules.now)
            return insert_jobs(tx, jobs, rules.now, launch, max_queued=max_queued, together=together)

        return await self.change(work, after)

    async def claim(
        self, node: NodeInfo, free_units: int | None = None, *, after: float = 0.0, reserve_live: int | None = None
    ) -> list[Grant]:
        """What the node is given."""
        room = offer(node, free_units, reserve_live=reserve_live)
        return await self.change(lambda tx, rules: claim(tx, room, LEASE, rules), after)

    async def claim_one(self, node: NodeInfo, *, after: float = 0.0) -> AttemptKey:
        """The one attempt that the node is given."""
        [grant] = await self.claim(node, after=after)
        return grant.key

    async def report(self, *said: AttemptReport, after: float = 0.0) -> list[bool]:
        """Which of the reports count."""
        return await self.change(lambda tx, rules: report(tx, said, rules), after)

    async def beat(self, node: NodeInfo, *held: AttemptKey, after: float = 0.0) -> BeatAnswer:
        """What the store says to a sign of life."""
        progress = [Progress(key, 50.0, 25.0, 1.5) for key in held]
        return await self.beat_with(node, progress, after=after)

    async def beat_with(self, node: NodeInfo, progress: Sequence[Progress], *, after: float = 0.0) -> BeatAnswer:
        """The same with progress of the test's own."""
        [answer] = await self.change(lambda tx, rules: beat_all(tx, [SignOfLife(node, progress)], LEASE, rules), after)
        return answer

    async def sweep(self, after: float) -> int:
        """How many leases had run out."""
        return await self.change(lambda tx, rules: expire_leases(tx, 500, rules), after)

    async def goodbye(self, node: NodeInfo, after: float = 0.0) -> None:
        """The node's worker ends."""
        await self.change(lambda tx, rules: say_goodbye(tx, node.id, rules), after)

    async def act(self, job_id: str, action: Action, after: float = 0.0) -> tuple[Job, Job] | None:
        """The job before and after what a user did."""
        return await self.change(lambda tx, rules: act(tx, job_id, action, rules), after)

    async def run(self, node: NodeInfo, *, after: float = 0.0) -> AttemptKey:
        """The attempt that the node was given and has started."""
        key = await self.claim_one(node, after=after)
        assert [True] == await self.report(started(key, node), after=after)
        return key

    async def complete(self, node: NodeInfo, *, after: float = 0.0) -> AttemptKey:
        """The attempt that the node was given and has brought to its end."""
        key = await self.run(node, after=after)
        assert [True, True] == await self.report(settled(key, node), published(key, node), after=after)
        return key

    async def job(self, job_id: str) -> Job:
        """The job as it is now."""
        found = await self.store.read(lambda tx: get_job(tx, job_id))
        assert found is not None, job_id
        return found

    async def jobs(self, wanted: JobFilter | None = None) -> list[Job]:
        """Every job that matches."""
        chosen = wanted or JobFilter()
        return await self.store.read(lambda tx: list_jobs(tx, chosen, after=None, limit=1_000_000))

    async def history(self, job_id: str) -> list[Transition]:
        """Every step of the job."""
        job = await self.job(job_id)
        return await self.store.read(lambda tx: read_history(tx, job))


LATER = LEASE + 1
"""Seconds after which a lease that began at NOW has run out."""

__all__ = ["LATER", "NOW", "Farmhand"]
