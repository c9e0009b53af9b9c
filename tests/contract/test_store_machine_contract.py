"""Whatever is done to a store, it is what the model says (P1, P2, P3, P5, P10): a search for a proof of the contrary.

Hypothesis draws the deeds, does them to a store and to the model, compares all that both know after each, and shortens
what it finds to a small program. Every run tries the same sequences; `--hypothesis-profile=search` tries new ones.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest
import uuid_utils
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from reelmill.domain.attempt import AttemptKey, AttemptReport, Offer, Progress
from reelmill.domain.failure import Failure
from reelmill.domain.job import WAITING, Job
from reelmill.domain.lifecycle import TRANSITIONS, Fail, NotAllowed, Publish, Report, Return, Settle, Start
from reelmill.domain.request import JobRequest, accept
from reelmill.store.attempts import SignOfLife, beat_all, expire_leases, report, say_goodbye, void_all_leases
from reelmill.store.claim import claim
from reelmill.store.control import ACTIONS, Action, act, cancel_launch
from reelmill.store.counts import read_counts, read_launch_counts
from reelmill.store.listing import JobFilter, list_jobs
from reelmill.store.nodes import set_draining
from reelmill.store.protocol import Store, Tx
from reelmill.store.schema import history, metadata, tenant_counts
from reelmill.store.submit import Accepted, Answer, ensure_launch, insert_jobs
from reelmill.store.tenants import set_limit
from reelmill.store.transition import Rules
from tests.contract.conftest import STORES
from tests.farm_model import FarmModel, ModelJob
from tests.samples import BAD_INPUT, LEASE, NETWORK_DOWN, POLICY, TOO_SLOW, node_info, result

T = TypeVar("T")

LOST_OUTPUT = Failure("platform_error", "output_lost", "The output is gone; look at the disk.")
FAILURES = [NETWORK_DOWN, BAD_INPUT, TOO_SLOW, LOST_OUTPUT]
EVENTS: list[Report] = [Start(), Settle(result()), Publish(), Return("stopped"), *map(Fail, FAILURES)]
STEPS = frozenset((before, after) for (before, _), outcomes in TRANSITIONS.items() for after in outcomes)
LAUNCHES = ["red", "blue"]
NODES = {
    "small": node_info("small", 2),
    "large": node_info("large", 16, labels={"gpu": "yes"}),
    "odd": node_info("odd", 4, {"gstreamer": ["h264"], "ffmpeg": ["av1"]}, reserve_live=2),
}
BODIES = st.fixed_dictionaries(
    {
        "scenario": st.sampled_from(["480p30-h264", "1080p30-h264", "4K60-h265", "480p30-av1"]),
        "queue": st.sampled_from(["default", "live", "batch"]),
        "priority": st.sampled_from(["medium", "high", "low"]),
        "engine": st.sampled_from(["auto", "auto", "ffmpeg", "gstreamer"]),
        "tenant": st.sampled_from(["default", "default", "acme"]),
        "node_labels": st.sampled_from([{}, {}, {"gpu": "yes"}]),
        "idempotency_key": st.sampled_from([None, None, None, "a", "b"]),
    }
)
WHICH = st.integers(0, 7)
"""Picks one of what there is, the latest first."""
NODE = st.sampled_from(sorted(NODES))
WORDS = st.tuples(WHICH, st.sampled_from([None, None, None, *sorted(NODES)]), st.sampled_from(EVENTS))

Deed = tuple[str, dict[str, Any]]
HOW: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "work": (8, {"node": NODE, "which": WHICH, "words": st.integers(1, 3)}),
    "say": (6, {"said": st.lists(WORDS, min_size=1, max_size=3), "again": st.booleans()}),
    "act": (6, {"which": WHICH, "held": st.booleans(), "action": st.sampled_from(ACTIONS)}),
    "submit": (2, {"bodies": st.lists(BODIES, min_size=2, max_size=6), "launch": st.sampled_from([None, *LAUNCHES])}),
    "claim": (3, {"node": NODE, "busy": st.sampled_from([0, 0, 1, 2, 3, 12]), "live": st.integers(0, 2)}),
    "beat": (3, {"node": NODE, "forgets": st.booleans(), "foreign": st.lists(WHICH, max_size=2)}),
    "wait": (4, {"seconds": st.sampled_from([1.0, 6.0, 16.0, 31.0])}),
    "sweep": (2, {}),
    "limit": (1, {"tenant": st.sampled_from(["default", "acme"]), "limit": st.sampled_from([None, None, 3, 1, 0])}),
    "drain": (1, {"node": NODE, "draining": st.sampled_from([False, False, True])}),
    "cancel_launch": (1, {"launch": st.sampled_from(LAUNCHES), "after": st.integers(0, 3)}),
    "say_goodbye": (1, {"node": NODE}),
    "lose_all_workers": (1, {}),
    "page": (
        1,
        {
            "status": st.lists(st.sampled_from(["queued", "running", "paused", "completed"]), max_size=2),
            "launch": st.lists(st.sampled_from(LAUNCHES), max_size=1),
            "queue": st.lists(st.sampled_from(["live", "batch"]), max_size=1),
            "size": st.integers(1, 5),
            "newest_first": st.booleans(),
        },
    ),
}
"""How often each deed is done, of all, and with what."""


def _deeds() -> Iterator[st.SearchStrategy[Deed]]:
    for name, (weight, how) in HOW.items():
        yield from (st.tuples(st.just(name), st.fixed_dictionaries(how)) for _ in range(weight))


DEEDS = st.one_of(list(_deeds()))


class Longest(random.Random):
    """No chance at all: every backoff is the longest, so that the model knows it too."""

    def uniform(self, a: float, b: float) -> float:
        return b


class FarmMachine(RuleBasedStateMachine):
    """The same deeds, done to a store and to the model."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        super().__init__()
        self.loop = loop
        self.store = store
        self.model = FarmModel()
        self.granted: list[AttemptKey] = []
        self.last_number = 0
        self.write(lambda tx, _: [tx.execute(delete(table)) for table in reversed(metadata.sorted_tables)])

    def write(self, work: Callable[[Tx, Rules], T]) -> T:
        """Change the store at the model's time."""
        rules = Rules(self.model.now, POLICY, Longest())
        return self.loop.run_until_complete(self.store.write(lambda tx: work(tx, rules)))

    def read(self, work: Callable[[Tx], T]) -> T:
        return self.loop.run_until_complete(self.store.read(work))

    @rule(deed=DEEDS)
    def do(self, deed: Deed) -> None:
        """One thing that happens to a farm; the deed is the name of one of the methods below, with its arguments."""
        name, how = deed
        getattr(self, name)(**how)

    def wait(self, seconds: float) -> None:
        self.model.now += seconds

    def submit(self, bodies: list[dict[str, object]], launch: str | None) -> None:
        asked = [accept(msgspec.convert(body, JobRequest), str(uuid_utils.uuid7())) for body in bodies]

        def work(tx: Tx, rules: Rules) -> list[Answer]:
            if launch is not None:
                ensure_launch(tx, launch, None, rules.now)
            return insert_jobs(tx, asked, rules.now, launch)

        answers = self.write(work)
        expected = [self.model.submit(job, body, launch) for job, body in zip(asked, bodies, strict=True)]
        assert expected == [(said.job.id, said.created) if isinstance(said, Accepted) else None for said in answers]
        numbers = [said.job.sequence_number for said in answers if isinstance(said, Accepted) and said.created]
        assert all(one < next_one for one, next_one in itertools.pairwise([self.last_number, *numbers]))
        self.last_number = max(self.last_number, *numbers, 0)

    def claim(self, node: str, busy: int, live: int) -> None:
        has = NODES[node].capabilities
        offer = Offer(NODES[node].id, node, has, max(0, has.units - busy), live)
        grants = self.write(lambda tx, rules: claim(tx, offer, LEASE, rules))
        assert self.model.claim(offer) == [(grant.key, grant.units) for grant in grants]
        self.granted += [grant.key for grant in grants]

    def work(self, node: str, which: int, words: int) -> None:
        """A node comes, takes what it can if it has nothing yet, and one of its attempts goes well for a while."""
        known = self.model.nodes.get(NODES[node].id)
        if known is None or known.left:
            self.beat(node, False, [])
        if not self.held_by(node):
            self.claim(node, 0, 0)
        if held := self.held_by(node):
            job = self.pick(held, which)
            begun = (job.status != "assigned") + job.settled
            self.tell([(job.key, NODES[node].id, event) for event in EVENTS[begun : min(begun + words, 3)]])

    def say(self, said: list[tuple[int, str | None, Report]], again: bool) -> None:
        """Any word about any attempt that ever was, from its node or from another: stale, foreign, doubled."""
        words: list[tuple[AttemptKey, str, Report]] = []
        for which, node, event in said if self.granted else ():
            key = self.pick(self.granted, which)
            holder = NODES[node].id if node else self.model.jobs[key.job_id].node
            words.append((key, holder or "nobody", event))
        self.tell(words * (2 if again else 1))

    def tell(self, words: Sequence[tuple[AttemptKey, str, Report]]) -> None:
        said = [AttemptReport(*word) for word in words]
        expected = [
            self.model.report(key, node_id, type(event).__name__.lower(), getattr(event, "failure", None))
            for key, node_id, event in words
        ]
        assert expected == self.write(lambda tx, rules: report(tx, said, rules))

    def beat(self, node: str, forgets: bool, foreign: list[int]) -> None:
        """A sign of life with all that the node has, or all but the first of it, and with what is not its own."""
        own = [job.key for job in self.held_by(node)]
        others = [self.pick(self.granted, which) for which in foreign if self.granted]
        said = list(dict.fromkeys(own[forgets:] + others))
        progress = [Progress(key, 1.0) for key in said]
        [answer] = self.write(lambda tx, rules: beat_all(tx, [SignOfLife(NODES[node], progress)], LEASE, rules))
        orders = [order.key for order in answer.publish]
        assert self.model.beat(NODES[node].id, said) == tuple(
            map(set, (answer.renewed, answer.paused, answer.drop, orders))
        )

    def sweep(self) -> None:
        assert self.model.sweep() == self.write(lambda tx, rules: expire_leases(tx, 500, rules))

    def act(self, which: int, held: bool, action: Action) -> None:
        """A user does something to a job; to one that a node holds, if there is any and it shall be held."""
        jobs = list(self.model.jobs.values())
        if not jobs:
            return
        job = self.pick([job for job in jobs if held and job.lease is not None] or jobs, which)
        try:
            self.write(lambda tx, rules: act(tx, job.asked.id, action, rules))
            allowed = True
        except NotAllowed:
            allowed = False
        assert self.model.act(job, action) == allowed

    def cancel_launch(self, launch: str, after: int) -> None:
        known = self.jobs_of(launch=[launch])
        behind = known[min(after, len(known)) - 1].sequence_number if after and known else 0
        canceled = self.write(lambda tx, rules: cancel_launch(tx, launch, behind, 3, rules))
        mine = [self.model.jobs[job.id] for job in known if job.sequence_number > behind]
        open_jobs = [job for job in mine if job.status not in ("canceled", "completed", "failed", "timed_out")]
        expected = [job for job in open_jobs if not job.settled][:3]
        assert [job.asked.id for job in expected] == [job.id for job in canceled]
        assert all(self.model.act(job, "cancel") for job in expected)

    def say_goodbye(self, node: str) -> None:
        self.write(lambda tx, rules: say_goodbye(tx, NODES[node].id, rules))
        self.model.goodbye(NODES[node].id)

    def limit(self, tenant: str, limit: int | None) -> None:
        self.write(lambda tx, _: set_limit(tx, tenant, limit))
        self.model.limits.pop(tenant, None)
        if limit is not None:
            self.model.limits[tenant] = limit

    def drain(self, node: str, draining: bool) -> None:
        known = self.write(lambda tx, _: set_draining(tx, NODES[node].id, draining))
        assert (NODES[node].id in self.model.nodes) == known
        if known:
            self.model.nodes[NODES[node].id].draining = draining

    def lose_all_workers(self) -> None:
        """As when a farm that is one process starts again."""
        self.write(void_all_leases)
        for job in self.model.jobs.values():
            job.lease = self.model.now - 1 if job.lease is not None else None
        for node in self.model.nodes.values():
            node.left = True

    def page(self, status: list[str], launch: list[str], queue: list[str], size: int, newest_first: bool) -> None:
        """All pages of a filtered list, one after the other, are what the model finds."""
        wanted = JobFilter(status=status, launch=launch, queue=queue)
        seen: list[str] = []
        after: int | None = None
        while jobs := self.read(
            lambda tx, after=after: list_jobs(tx, wanted, after=after, limit=size, newest_first=newest_first)
        ):
            seen += [job.id for job in jobs]
            after = jobs[-1].sequence_number
        expected = [
            job.asked.id
            for job in self.model.jobs.values()
            if (not status or job.status in status)
            and (not launch or job.launch in launch)
            and (not queue or job.asked.queue in queue)
        ]
        assert (expected[::-1] if newest_first else expected) == seen

    def held_by(self, node: str) -> list[ModelJob]:
        return [job for job in self.model.jobs.values() if job.node == NODES[node].id and job.lease is not None]

    @staticmethod
    def pick(options: Sequence[T], which: int) -> T:
        return options[-1 - which % len(options)]

    def jobs_of(self, **wanted: list[str]) -> list[Job]:
        chosen = msgspec.convert(wanted, JobFilter)
        return self.read(lambda tx: list_jobs(tx, chosen, after=None, limit=10_000))

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        """Jobs, histories and counts, all of one snapshot."""
        found = self.read(_look)
        stored = {job.id: _state_of(job) for job in found.jobs}
        assert {job_id: _state_in(job) for job_id, job in self.model.jobs.items()} == stored
        self.check_histories(found)
        jobs = self.model.jobs.values()
        counted = Counter((job.status, job.asked.queue, job.asked.priority, job.asked.scenario) for job in jobs)
        assert dict(counted) == found.counts
        by_launch = {name: dict(Counter(job.status for job in jobs if job.launch == name)) for name in LAUNCHES}
        assert by_launch == found.launch_counts
        waiting = Counter(job.asked.tenant for job in jobs if job.status in WAITING)
        assert dict(waiting) == {tenant: n for tenant, n in found.waiting.items() if n}

    def check_histories(self, found: Found) -> None:
        """Each is an unbroken path of lawful steps; a token rises by one with each assignment; one result at most."""
        told = {job.sequence_number: [("queued", 0)] for job in found.jobs}
        for number, before, after, attempt in found.history:
            status, token = told[number][-1]
            assert before == status
            assert (before, after) in STEPS
            assert token + (after == "assigned") == attempt
            told[number].append((after, attempt))
        assert all(sum(status == "completed" for status, _ in steps) <= 1 for steps in told.values())
        model = self.model.jobs
        assert {job.sequence_number: [("queued", 0), *model[job.id].steps] for job in found.jobs} == told


class Found(NamedTuple):
    """All that a store knows."""

    jobs: list[Job]
    history: list[tuple[int, str, str, int]]
    counts: dict[tuple[str, ...], int]
    launch_counts: dict[str, dict[str, int]]
    waiting: dict[str, int]


def _look(tx: Tx) -> Found:
    steps = select(history.c.sequence_number, history.c.from_status, history.c.to_status, history.c.attempt)
    return Found(
        list_jobs(tx, JobFilter(), after=None, limit=10_000),
        [(row[0], row[1], row[2], row[3]) for row in tx.execute(steps.order_by(history.c.id))],
        {tuple(key): n for key, n in read_counts(tx).items()},
        read_launch_counts(tx, LAUNCHES),
        {row.tenant: row.waiting for row in tx.execute(select(tenant_counts))},
    )


def _state_of(job: Job) -> tuple[object, ...]:
    return (
        *(job.status, job.attempt, job.node_id, job.lease_until, job.winner, job.failures, job.crashes),
        *(job.eligible_at, job.error_code, job.launch_id, job.queue, job.priority, job.scenario),
    )


def _state_in(job: ModelJob) -> tuple[object, ...]:
    asked = job.asked
    return (
        *(job.status, job.attempt, job.node, job.lease, job.winner, job.failures, job.crashes),
        *(job.eligible, job.why, job.launch, asked.queue, asked.priority, asked.scenario),
    )


SEARCH = set(Phase) - {Phase.explain}
EXAMPLES = {"sqlite-memory": 2.5, "sqlite-file": 0.3, "postgresql": 0.2}
"""How many of what the profile says: a durable commit takes its time."""


@pytest.mark.timeout(600)  # a failure is shortened before it is shown
@pytest.mark.parametrize("kind", STORES)
def test_a_store_does_what_the_model_does(kind: str, tmp_path: Path) -> None:
    """No sequence of deeds makes a store differ from the model in what it answers or in what it keeps."""
    with asyncio.Runner() as runner:

        async def open_store() -> Store:
            made = STORES[kind](tmp_path)
            await made.start()
            return made

        store = runner.run(open_store())

        class Machine(FarmMachine):
            def __init__(self) -> None:
                super().__init__(runner.get_loop(), store)

        examples = int(settings().max_examples * EXAMPLES[kind])
        try:
            run_state_machine_as_test(
                Machine, settings=settings(max_examples=examples, stateful_step_count=80, phases=SEARCH)
            )
        finally:
            runner.run(store.stop())
