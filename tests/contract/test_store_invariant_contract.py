"""What holds after anything that may happen (P2): counts, histories, tokens; and what the schema itself refuses."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reelmill.domain.attempt import AttemptKey, AttemptReport
from reelmill.domain.job import STATUSES, WAITING
from reelmill.domain.lifecycle import Fail, NotAllowed, Publish, Return, Settle, Start
from reelmill.store.control import ACTIONS, cancel_launch
from reelmill.store.counts import read_counts, read_launch_counts
from reelmill.store.protocol import Store
from reelmill.store.tenants import list_tenants
from tests.farmhand import Farmhand
from tests.samples import BAD_INPUT, NETWORK_DOWN, TOO_SLOW, new_job, node_info, result

LAUNCHES = ["red", "blue"]
GOOD = [Start(), Settle(result()), Publish()]
EVENTS = [*GOOD * 4, Fail(NETWORK_DOWN), Fail(BAD_INPUT), Fail(TOO_SLOW), Return("stopped")]


class Walk:
    """A random walk over everything that can be done to a store."""

    def __init__(self, farm: Farmhand, seed: int) -> None:
        self.farm = farm
        self.rng = random.Random(seed)
        self.nodes = [
            node_info("small", 2),
            node_info("large", 16),
            node_info("odd", 4, {"gstreamer": ["h264"], "ffmpeg": ["av1"]}),
        ]
        self.ids: list[str] = []
        self.granted: list[AttemptKey] = []
        self.now = 0.0

    async def step(self) -> None:
        """Do one thing."""
        self.now += self.rng.choice([0.1, 0.1, 1.0, 5.0, 40.0])
        weights = {
            self.submit: 20,
            self.claim: 30,
            self.report: 80,
            self.beat: 10,
            self.sweep: 5,
            self.act: 10,
            self.goodbye: 1,
            self.cancel_launch: 1,
        }
        await self.rng.choices(list(weights), list(weights.values()))[0]()

    async def submit(self) -> None:
        rng = self.rng
        jobs = [
            new_job(
                rng.choice(["480p30-h264", "1080p30-h264", "4K60-h265", "480p30-av1"]),
                queue=rng.choice(["live", "default", "batch"]),
                priority=rng.choice(["high", "medium", "low"]),
                engine=rng.choice(["auto", "auto", "ffmpeg", "gstreamer"]),
                idempotency_key=rng.choice([None, None, "a", "b", "c"]),
                tenant=rng.choice(["default", "studio"]),
            )
            for _ in range(rng.randrange(1, 6))
        ]
        await self.farm.offer_jobs(*jobs, launch=rng.choice([None, *LAUNCHES]), after=self.now)
        self.ids = [job.id for job in await self.farm.jobs()]

    async def claim(self) -> None:
        node = self.rng.choice(self.nodes)
        grants = await self.farm.claim(node, self.rng.randrange(node.capabilities.units + 1), after=self.now)
        self.granted += [grant.key for grant in grants]

    async def report(self) -> None:
        if self.granted:
            key = self.rng.choice(self.granted[-8:])
            node = self.rng.choice(self.nodes)
            await self.farm.report(AttemptReport(key, node.id, self.rng.choice(EVENTS)), after=self.now)

    async def beat(self) -> None:
        held = self.rng.sample(self.granted, min(len(self.granted), 5))
        await self.farm.beat(self.rng.choice(self.nodes), *held, after=self.now)

    async def sweep(self) -> None:
        await self.farm.sweep(self.now)

    async def act(self) -> None:
        if self.ids:
            try:
                await self.farm.act(self.rng.choice(self.ids), self.rng.choice(ACTIONS), after=self.now)
            except NotAllowed:
                return

    async def goodbye(self) -> None:
        await self.farm.goodbye(self.rng.choice(self.nodes), after=self.now)

    async def cancel_launch(self) -> None:
        if self.ids:
            name = self.rng.choice(LAUNCHES)
            await self.farm.change(lambda tx, rules: cancel_launch(tx, name, 0, 2, rules), self.now)


async def check_counts(farm: Farmhand) -> set[str]:
    """The kept counts are what counting would find; returns the statuses seen."""
    jobs = await farm.jobs()
    counted = Counter((job.status, job.queue, job.priority, job.scenario) for job in jobs)
    assert dict(counted) == {tuple(key): n for key, n in (await farm.store.read(read_counts)).items()}
    by_launch = await farm.store.read(lambda tx: read_launch_counts(tx, LAUNCHES))
    for launch in LAUNCHES:
        assert dict(Counter(job.status for job in jobs if job.launch_id == launch)) == by_launch[launch]
    waiting = Counter(job.tenant for job in jobs if job.status in WAITING)
    assert dict(waiting) == {
        tenant.name: tenant.waiting_jobs for tenant in await farm.store.read(list_tenants) if tenant.waiting_jobs
    }
    return {job.status for job in jobs}


async def check_histories(farm: Farmhand) -> None:
    """Each history is one unbroken line that ends in the job's state, and attempts rise by one with an assignment."""
    for job in await farm.jobs():
        steps = await farm.history(job.id)
        for before, after in itertools.pairwise(steps):
            assert before.to_status == after.from_status
            assert before.attempt + (after.to_status == "assigned") == after.attempt
            assert before.at <= after.at
        assert (job.status, job.attempt) == (steps[-1].to_status, steps[-1].attempt)
        assert sum(step.to_status == "completed" for step in steps) <= 1


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_counts_and_histories_are_right(farm: Farmhand, seed: int) -> None:
    """All along a walk of hundreds of random deeds the counts agree with counting; at the end each history is whole."""
    walk = Walk(farm, seed)
    seen: set[str] = set()
    for _ in range(100):
        for _ in range(4):
            await walk.step()
        seen |= await check_counts(farm)
    await check_histories(farm)
    assert len(seen) >= len(STATUSES) - 2, f"the walk must see enough of the world, and saw {seen}"


Row = dict[str, object]
INSERT: Row = {
    "sequence_number": 1,
    "id": "'x'",
    "tenant": "'default'",
    "scenario": "'480p30-h264'",
    "engine": "'auto'",
    "queue": "'default'",
    "priority": "'medium'",
    "status": "'queued'",
    "parameters": "'{}'",
    "labels": "'{}'",
    "node_labels": "'{}'",
    "created_at": 1.0,
    "attempt": 0,
    "failures": 0,
    "crashes": 0,
    "progress": 0.0,
    "lane_id": 1,
    "rank": 4,
    "ready": "TRUE",
}
HELD: Row = {"ready": "FALSE", "attempt": 1, "node_id": "'n'", "lease_until": 2.0}
RUNNING: Row = HELD | {"status": "'running'", "started_at": 1.0}
PAUSED: Row = HELD | {"status": "'paused'"}
DONE: Row = {"ready": "FALSE", "attempt": 1, "completed_at": 2.0}
COMPLETED: Row = DONE | {"status": "'completed'", "winner": 1, "result": "'{}'"}
ILLEGAL: dict[str, list[Row]] = {
    "jobs_status": [{"status": "'banana'", "ready": "FALSE"}],
    "jobs_order": [{"queue": "'express'"}, {"priority": "'urgent'"}],
    "jobs_rank": [{"rank": 9}, {"rank": -1}],
    "jobs_ended_has_time": [{"completed_at": 2.0}, COMPLETED | {"completed_at": "NULL"}],
    "jobs_held_has_lease": [
        RUNNING | {"node_id": "NULL"},
        RUNNING | {"lease_until": "NULL"},
        RUNNING | {"attempt": 0},
        HELD | {"status": "'assigned'", "node_id": "NULL"},
    ],
    "jobs_lease_has_holder": [
        {"lease_until": 2.0},
        PAUSED | {"node_id": "NULL"},
        PAUSED | {"attempt": 0},
        COMPLETED | {"lease_until": 2.0, "node_id": "'n'"},
    ],
    "jobs_running_has_start": [RUNNING | {"started_at": "NULL"}],
    "jobs_ready_waits": [RUNNING | {"ready": "TRUE"}, {"status": "'paused'"}],
    "jobs_queued_is_ready": [{"ready": "FALSE"}],
    "jobs_retry_has_time": [{"status": "'retrying'", "ready": "FALSE"}],
    "jobs_completed_has_winner": [
        COMPLETED | {"winner": "NULL"},
        COMPLETED | {"winner": 2},
        COMPLETED | {"result": "NULL"},
    ],
    "jobs_failed_has_reason": [DONE | {"status": "'failed'"}],
}


def insert_row(values: Row) -> str:
    row = INSERT | values
    return f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(map(str, row.values()))})"


async def make_lane(store: Store) -> None:
    await store.write(
        lambda tx: tx.execute(text("INSERT INTO lanes VALUES (1, 'auto', 'h264', 1, 'default', '{}')")) and None
    )


@pytest.mark.parametrize("legal", [{}, RUNNING, PAUSED, COMPLETED, HELD | {"status": "'assigned'"}])
async def test_the_schema_takes_legal_rows(store: Store, legal: Row) -> None:
    """So that the refusals below are for the reason they name."""
    await make_lane(store)
    await store.write(lambda tx: tx.execute(text(insert_row(legal))) and None)


@pytest.mark.parametrize(
    ("constraint", "values"), [(name, values) for name, rows in ILLEGAL.items() for values in rows]
)
async def test_the_schema_refuses_illegal_rows(store: Store, constraint: str, values: Row) -> None:
    """Invariants live in the database, not in hope; the refusal names the rule."""
    await make_lane(store)
    with pytest.raises(IntegrityError, match=constraint):
        await store.write(lambda tx: tx.execute(text(insert_row(values))) and None)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO counts VALUES ('queued', 'live', 'high', '480p30-h264', -1)",
        "INSERT INTO launch_counts VALUES ('L', 'queued', -1)",
        "INSERT INTO tenant_counts VALUES ('t', -1)",
        "INSERT INTO tenants VALUES ('t', -1, NULL)",
        "INSERT INTO tenants VALUES ('t', NULL, -1)",
        "INSERT INTO tenants VALUES ('t', NULL, NULL)",
        insert_row({"lane_id": 99}),
        insert_row({"launch_id": "'unknown'"}),
        insert_row({"scenario": "NULL"}),
    ],
)
async def test_the_schema_refuses_negative_counts_and_unknown_relations(store: Store, statement: str) -> None:
    """A job belongs to a lane and a launch that exist, and no count falls below zero."""
    await make_lane(store)
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: tx.execute(text(statement)) and None)


@pytest.mark.parametrize("repeat", [{"id": "'x'"}, {"id": "'y'", "idempotency_key": "'k'"}])
async def test_an_id_and_a_key_belong_to_one_job(store: Store, repeat: Row) -> None:
    """Two rows can share neither."""
    await make_lane(store)
    await store.write(lambda tx: tx.execute(text(insert_row({"idempotency_key": "'k'"}))) and None)
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: tx.execute(text(insert_row(repeat | {"sequence_number": 2}))) and None)
