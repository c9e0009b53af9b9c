"""Two masters on one PostgreSQL, each in a process of its own: no job twice, and the order of the farm all along.

The order, stated so that it can be checked. A claim looks from `look` to `looked`. It is wrong about a job when

1. the job was accepted (its commit was answered) before the claim began to look,
2. the claim's node can run it, and it fits the room that was left when its turn came: what the claim had, less what it
   was given of better jobs,
3. the job was given to a claim that began to look later,
4. and no claim of the other master, of those that had begun before this one had looked and were answered after it began
   to look, had the job in hand: had tried to lock it, to give it away or to note that it lacks room.

So a claim may leave out only jobs that the other master has in hand at that very moment, and leaves no room unused that
a waiting job fits. Claims of one master run one after the other: between them the order is exact.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from reelmill.domain.capability import Needs, can_run
from reelmill.domain.job import PRIORITIES, QUEUES, NewJob, order_rank
from reelmill.store.counts import read_counts
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.postgres import PostgresStore
from reelmill.store.submit import Accepted, insert_jobs
from tests.claimers import KINDS, NOW, Claimed
from tests.contract.conftest import new_database
from tests.samples import new_job

ROOT = Path(__file__).resolve().parents[3]
FIRST, BATCHES, BATCH = 16_000, 40, 100
TOTAL = FIRST + BATCHES * BATCH


class Waiting(NamedTuple):
    """A job of the queue; sorted, in the order of the farm."""

    rank: int
    number: int
    id: str


def mixed_jobs(count: int, rng: random.Random) -> list[NewJob]:
    """Every queue and priority; many needs, some of which only some nodes meet, and none that no node meets."""
    return [
        new_job(
            rng.choice(["480p30-h264", "720p30-h264", "1080p30-h264"]),
            queue=rng.choice(QUEUES),
            priority=rng.choice(PRIORITIES),
            engine=rng.choice(["auto", "ffmpeg", "gstreamer"]),
            tenant=rng.choice(["default", "acme"]),
            node_labels=rng.choice([{}, {}, {"gpu": "yes"}]),
        )
        for _ in range(count)
    ]


class Farm:
    """What was accepted and when, and what every claim was given."""

    def __init__(self) -> None:
        self.needs: dict[str, Needs] = {}
        self.accepted: list[tuple[float, Waiting]] = []
        self.claims: list[tuple[int, Claimed]] = []
        self.in_hand: dict[int, list[tuple[int, Claimed]]] = defaultdict(list)

    def note(self, asked: list[NewJob], answers: list[Accepted], moment: float) -> None:
        """These jobs were accepted."""
        self.needs |= {job.id: job.needs for job in asked}
        for _, (job, _) in zip(asked, answers, strict=True):
            waiting = Waiting(order_rank(job.queue, job.priority), job.sequence_number, job.id)
            self.accepted.append((moment, waiting))

    def overlooked(self) -> list[str]:
        """Every case in which a claim was wrong about a job."""
        order = {job.id: job for _, job in self.accepted}
        taken = {job_id: claim for _, claim in self.claims for job_id, _ in claim.given}
        arriving = deque(sorted(self.accepted))
        waiting: dict[Needs, list[Waiting]] = defaultdict(list)
        for master, claim in self.claims:
            for number in claim.in_hand:
                self.in_hand[number].append((master, claim))
        found: list[str] = []
        for master, claim in sorted(self.claims, key=lambda pair: pair[1].look):
            while arriving and arriving[0][0] <= claim.look:
                _, job = arriving.popleft()
                if taken[job.id].look >= claim.look:
                    bisect.insort(waiting[self.needs[job.id]], job)
            found += self._wrong(master, claim, waiting, order, taken)
            for job_id, _ in claim.given:
                lane = waiting[self.needs[job_id]]
                place = bisect.bisect_left(lane, order[job_id])
                if lane[place : place + 1] == [order[job_id]]:
                    del lane[place]
        return found

    def _wrong(
        self,
        master: int,
        claim: Claimed,
        waiting: dict[Needs, list[Waiting]],
        order: dict[str, Waiting],
        taken: dict[str, Claimed],
    ) -> Iterator[str]:
        node = KINDS[claim.kind]
        given = sorted((order[job_id], units) for job_id, units in claim.given)
        room_after = [node.units, *(node.units - used for used in itertools.accumulate(units for _, units in given))]
        for needs, lane in waiting.items():
            if not can_run(node, needs):
                continue
            for job in lane:
                if min(needs.cost, node.units) > room_after[bisect.bisect(given, (job, 0))]:
                    break  # and so are all behind it
                later = taken[job.id]
                if later.look <= claim.look:
                    continue
                if any(whose != master and _at_once(claim, one) for whose, one in self.in_hand[job.number]):
                    continue
                yield f"{claim} was given {given}, not {job}, which was given to {later}"
                break


def _at_once(claim: Claimed, other: Claimed) -> bool:
    return other.first_look < claim.looked and other.answered > claim.look


async def start_master(url: str, first: int) -> asyncio.subprocess.Process:
    """Eight claimers in a process of their own."""
    words = [sys.executable, "-m", "tests.claimers", url, str(first), str(TOTAL)]
    return await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)


async def submit(store: PostgresStore, farm: Farm, jobs: list[NewJob]) -> None:
    """Have the jobs accepted, and note when they were."""
    answers = await store.write(lambda tx: insert_jobs(tx, jobs, NOW))
    farm.note(jobs, [answer for answer in answers if isinstance(answer, Accepted)], time.monotonic())


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_sixteen_claimers_of_two_masters_give_each_job_once_and_in_order() -> None:
    """20,000 jobs, a fifth of them arriving meanwhile: none twice, none forgotten, and no claim is wrong about one."""
    url, rng, farm = new_database(), random.Random(1), Farm()
    store = PostgresStore(url)
    await store.start()
    masters: list[asyncio.subprocess.Process] = []
    try:
        await submit(store, farm, mixed_jobs(FIRST, rng))
        masters += [await start_master(url, 0), await start_master(url, 8)]
        for _ in range(BATCHES):
            await submit(store, farm, mixed_jobs(BATCH, rng))
        for number, master in enumerate(masters):
            said, _ = await master.communicate()
            farm.claims += [(number, claim) for claim in msgspec.json.decode(said, type=list[Claimed])]
        jobs = await store.read(lambda tx: list_jobs(tx, JobFilter(), after=None, limit=TOTAL))
        counts = await store.read(read_counts)
    finally:
        for master in masters:
            if master.returncode is None:
                master.kill()
                await master.communicate()  # what it still said would keep it from ending
        await store.stop()

    given = [job_id for _, claim in farm.claims for job_id, _ in claim.given]
    assert (TOTAL, TOTAL) == (len(given), len(set(given)))
    assert {("assigned", 1)} == {(job.status, job.attempt) for job in jobs}
    assert (TOTAL, {"assigned"}) == (sum(counts.values()), {key.status for key in counts})
    assert [] == farm.overlooked()
