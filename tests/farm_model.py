"""The rules of the farm in plain Python: what any store must do, said so simply that it can be checked by reading.

One dict of jobs, no SQL, no lanes, no indexes, no transactions. It shares no rule with `domain/lifecycle` or `store/`,
so that a mistake there is not repeated here. Backoffs are the longest that the policy allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reelmill.domain.attempt import AttemptKey, Offer
from reelmill.domain.capability import Capabilities, Needs
from reelmill.domain.failure import Failure
from reelmill.domain.job import NewJob
from tests.samples import LEASE, NOW

ENDED = ("completed", "failed", "canceled", "timed_out")
PASSING = ("timeout", "resource_error", "network_error", "platform_error")
LOST = Failure("platform_error", "worker_lost", "")
ORDER = [(queue, priority) for queue in ("live", "default", "batch") for priority in ("high", "medium", "low")]


def backoff(tries: int) -> float:
    """The longest wait after that many bad tries."""
    return min(300.0, 2.0 * 2 ** max(0, tries - 1))


def can_run(node: Capabilities, needs: Needs) -> bool:
    """Whether the node has the engine with the encoder, and carries the labels."""
    engines = [name for name, codecs in node.engines.items() if needs.codec in codecs]
    return bool(engines if needs.engine == "auto" else needs.engine in engines) and all(
        node.labels.get(name) == value for name, value in needs.node_labels
    )


@dataclass
class ModelJob:
    """One job; `attempt` is its token, `lease` is there while a node holds it, `steps` are its history."""

    asked: NewJob
    body: dict[str, object]
    launch: str | None
    number: int
    status: str = "queued"
    attempt: int = 0
    node: str | None = None
    lease: float | None = None
    winner: int | None = None
    failures: int = 0
    crashes: int = 0
    eligible: float | None = None
    given_at: float = 0.0
    why: str | None = None
    passed_over: float | None = None
    kept_node: str | None = None
    steps: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    @property
    def key(self) -> AttemptKey:
        return AttemptKey(self.asked.id, self.attempt)

    @property
    def settled(self) -> bool:
        return self.status == "running" and self.winner is not None

    @property
    def order(self) -> tuple[int, int]:
        return ORDER.index((self.asked.queue, self.asked.priority)), self.number

    def become(self, status: str) -> None:
        """One step of its history. Whoever changes a job forgets that it was passed over."""
        self.status = status
        self.steps.append((status, self.attempt))
        self.passed_over = self.kept_node = None

    def release(self, status: str) -> None:
        """No node holds it any more."""
        self.node = self.lease = None
        self.become(status)

    def end(self, status: str, why: str | None) -> None:
        """It is over; the node that had it last stays for people to see."""
        self.lease, self.why = None, why
        self.become(status)


@dataclass
class ModelNode:
    """What is remembered of a node."""

    seen: float
    left: bool = False
    draining: bool = False


class FarmModel:
    """Every job, key, node and limit; `now` in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = NOW
        self.jobs: dict[str, ModelJob] = {}
        self.keys: dict[tuple[str, object], ModelJob] = {}
        self.nodes: dict[str, ModelNode] = {}
        self.limits: dict[str, int] = {}

    def submit(self, asked: NewJob, body: dict[str, object], launch: str | None) -> tuple[str, bool] | None:
        """The id of the job and whether it is new; None for another body under a known key."""
        key = (asked.tenant, asked.idempotency_key)
        if asked.idempotency_key is not None and key in self.keys:
            known = self.keys[key]
            return (known.asked.id, False) if known.body == body else None
        self.jobs[asked.id] = self.keys[key] = ModelJob(asked, body, launch, len(self.jobs))
        return asked.id, True

    def claim(self, offer: Offer) -> list[tuple[AttemptKey, int]]:
        """The best ready jobs that the node can run and has room for, in strict order, with their units."""
        node = self.nodes.get(offer.node_id)
        if node is not None and (node.left or node.draining):
            return []
        free, live = offer.free_units, offer.live_units
        given: list[tuple[AttemptKey, int]] = []
        passed_over: set[Needs] = set()
        for job in sorted(filter(self.is_ready, self.jobs.values()), key=lambda job: job.order):
            needs, is_live = job.asked.needs, job.asked.queue == "live"
            if not can_run(offer.capabilities, needs) or self.is_at_limit(needs.tenant):
                continue
            if needs in passed_over:  # jobs with equal needs never overtake each other
                continue
            if free <= 0:
                break
            reserve = 0 if is_live else offer.capabilities.reserve_live
            units = min(needs.cost, max(1, offer.capabilities.units - reserve))
            if units <= free - max(0, reserve - live):
                free, live = free - units, live + (units if is_live else 0)
                job.attempt, job.node, job.lease = job.attempt + 1, offer.node_id, self.now + LEASE
                job.given_at, job.eligible = self.now, None
                job.become("assigned")
                given.append((job.key, units))
            else:
                passed_over.add(needs)
                if self.keeps_node(job, offer.node_id):
                    break
        return given

    def is_ready(self, job: ModelJob) -> bool:
        """Whether it may run now."""
        due = job.eligible is not None and job.eligible <= self.now
        return job.status == "queued" or (job.status == "retrying" and due)

    def is_at_limit(self, tenant: str) -> bool:
        """Whether nodes hold as many of the tenant's jobs as they may."""
        held = sum(job.lease is not None for job in self.jobs.values() if job.asked.tenant == tenant)
        return held >= self.limits.get(tenant, held + 1)

    def keeps_node(self, job: ModelJob, node_id: str) -> bool:
        """A job is passed over for want of room: after 30 s the node that asks is kept for it, or for its like."""
        if job.passed_over is None:
            like = [one for one in self.jobs.values() if one.passed_over is not None]
            like = [one for one in like if one.asked.needs == job.asked.needs and one.order > job.order]
            first = min(like, key=lambda one: one.order, default=None)
            job.passed_over, job.kept_node = (first.passed_over, first.kept_node) if first else (self.now, None)
        patient = job.passed_over is None or self.now - job.passed_over < 30.0
        if not patient and (job.kept_node is None or not self.is_alive(job.kept_node)):
            job.kept_node = node_id
        return job.kept_node == node_id

    def is_alive(self, node_id: str) -> bool:
        """Whether the node was heard of lately and takes jobs."""
        node = self.nodes.get(node_id)
        return node is not None and not node.left and not node.draining and node.seen > self.now - 30.0

    def report(self, key: AttemptKey, node_id: str, event: str, failure: Failure | None) -> bool:
        """Whether the word counts: it is about the attempt in the row, from its node, and possible or true already."""
        job = self.jobs.get(key.job_id)
        if job is None or job.attempt != key.attempt or job.node not in (None, node_id):
            return False
        held = job.lease is not None and not job.settled
        match event:
            case "start" if job.status == "assigned":
                job.become("running")
            case "settle" if held and job.status != "assigned":
                job.winner = job.attempt
                job.become("running")
            case "publish" if job.settled:
                job.end("completed", None)
            case "fail" if job.lease is not None and failure is not None:
                self.fail(job, failure)
            case "return" if held:
                job.release("paused" if job.status == "paused" else "queued")
            case _:
                return self.is_true_already(job, event, failure)
        return True

    def is_true_already(self, job: ModelJob, event: str, failure: Failure | None) -> bool:
        """A repeat of a word that counted counts again, and changes nothing."""
        return {
            "start": job.lease is not None,
            "settle": job.winner == job.attempt,
            "publish": job.status == "completed",
            "fail": job.lease is None and failure is not None and job.why == failure.code,
            "return": job.status in ("queued", "paused") and job.lease is None,
        }[event]

    def fail(self, job: ModelJob, failure: Failure) -> None:
        """An attempt failed: tried again up to three times when another try may help; a safe output is kept."""
        job.failures += 1
        again = failure.reason in PASSING and job.failures < 3
        if again and job.settled and failure.code != "output_lost":
            job.lease = self.now + backoff(job.failures)
            job.become("running")
            return
        job.winner = None
        if again:
            self.try_again(job, failure)
        else:
            job.end("timed_out" if failure.reason == "timeout" else "failed", failure.code)

    def try_again(self, job: ModelJob, failure: Failure) -> None:
        """After a backoff; a paused job stays paused, and waits for its backoff when it is resumed."""
        job.eligible, job.why = self.now + backoff(job.failures + job.crashes), failure.code
        job.release("paused" if job.status == "paused" else "retrying")

    def sweep(self) -> int:
        """How many leases had run out: nobody is blamed for a job that stood still."""
        lost = [job for job in self.jobs.values() if job.lease is not None and job.lease < self.now and not job.settled]
        for job in lost:
            job.crashes += job.status != "paused"
            if job.status == "paused":
                job.release("paused")
            elif job.crashes >= 3:
                job.end("failed", "worker_crashes")
            else:
                self.try_again(job, LOST)
        return len(lost)

    def beat(self, node_id: str, said: list[AttemptKey]) -> tuple[set[AttemptKey], ...]:
        """(renewed, of these paused, to drop, to publish): what the node has is renewed, the rest is taken back."""
        self.nodes.setdefault(node_id, ModelNode(self.now)).seen = self.now
        self.nodes[node_id].left = False
        mine = [job for job in self.jobs.values() if job.lease is not None and job.node == node_id]
        renewed = [job for job in mine if job.key in said]
        for job in renewed:
            job.lease = self.now + LEASE
        self.take_back([job for job in mine if job.key not in said and job.given_at < self.now - 5.0])
        publish = [job for job in self.jobs.values() if job.settled and job.lease is not None and job.lease < self.now]
        for job in publish:
            job.node, job.lease = node_id, self.now + LEASE
        valid = {job.key for job in renewed}
        paused = {job.key for job in renewed if job.status == "paused"}
        return valid, paused, set(said) - valid, {job.key for job in publish}

    def take_back(self, held: list[ModelJob]) -> None:
        """The node does not have these any more; a settled output is safe and stays."""
        for job in held:
            if not job.settled:
                job.release("paused" if job.status == "paused" else "queued")

    def goodbye(self, node_id: str) -> None:
        """A worker ends: what it holds waits again, what it settled is published by another."""
        if node_id in self.nodes:
            self.nodes[node_id].left, self.nodes[node_id].seen = True, self.now
        mine = [job for job in self.jobs.values() if job.lease is not None and job.node == node_id]
        self.take_back(mine)
        for job in mine:
            if job.settled:
                job.lease = self.now - 1

    def act(self, job: ModelJob, action: str) -> bool:
        """Whether what a user wants is possible in the job's state; doing the same twice is."""
        if action == "resume" and job.status in ("queued", "retrying", "assigned", "running"):
            return True
        if (action, job.status) in (("cancel", "canceled"), ("pause", "paused")):
            return True
        match action:
            case "cancel" if job.status not in ENDED and not job.settled:
                job.end("canceled", "canceled")
            case "pause" if job.status == "running" and not job.settled:
                job.become("paused")
            case "pause" if job.status in ("queued", "retrying", "assigned"):
                job.release("paused")
            case "resume" if job.status == "paused":
                waits = job.eligible is not None and job.eligible > self.now
                job.become("running" if job.lease is not None else "retrying" if waits else "queued")
            case "retry" if job.status in ("failed", "canceled", "timed_out"):
                job.failures = job.crashes = 0
                job.eligible = job.why = None
                job.release("queued")
            case _:
                return False
        return True
