"""The simulated farm as a whole: what is in it, what its users do, and what must never be seen in it."""

from __future__ import annotations

import asyncio
import contextvars
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.capability import Capabilities
from reelmill.domain.job import NewJob
from reelmill.domain.request import JobRequest, RequestedParameters, accept
from reelmill.domain.retry import RetryPolicy
from reelmill.domain.scenario import OPTIONS
from reelmill.errors import ReelmillError
from reelmill.master.farm import Farm
from reelmill.master.orders import act_on
from reelmill.master.reaper import SWEEP_SECONDS
from reelmill.store.control import ACTIONS, Action
from reelmill.store.protocol import Tx
from reelmill.store.submit import Accepted, Answer, insert_jobs
from reelmill.store.transition import Rules
from tests.simulation.bus import Network
from tests.simulation.encode import FATES, Fate, SimulatedEngine
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.machines import LEASE_SECONDS, MasterMachine, WorkerMachine
from tests.simulation.store import MemoryStore

T = TypeVar("T")

EPOCH = 1_700_000_000.0
ORDER_SECONDS = 1.0
"""How soon a user's word reaches an engine."""
_SHARE_IN_CHUNKS = 0.1
_IN_CHUNKS = RequestedParameters(input="film.mp4", chunk=3)
_ROW = "SELECT attempt, lease_until FROM jobs WHERE id = ?"
_OVERDUE = "SELECT id, status, node_name FROM jobs WHERE winner IS NULL AND lease_until < ?"
_FEATURES = {"ffmpeg": [OPTIONS]}
_NODES = [
    Capabilities(4, {"ffmpeg": ["h264", "h265"]}, features=_FEATURES),
    Capabilities(2, {"ffmpeg": ["h264"]}, features=_FEATURES),
    Capabilities(3, {"ffmpeg": ["h264", "h265"]}, reserve_live=1, features=_FEATURES),
]


class Order(NamedTuple):
    """A user's word about one attempt, and when the user was told that it is done, on the loop's clock."""

    action: Action
    at: float


class World:
    """Everything in one run. It is also the clock of all masters: the time of day, which may be set."""

    def __init__(self, loop: VirtualLoop, seed: int, store: MemoryStore, media_root: Path) -> None:
        self.loop = loop
        self.seed = seed
        self.rng = random.Random(seed)
        self.is_kind = self.rng.random() < 0.25
        """In a kind world machines die and start again, but nothing is lost or frozen or late: no excuses either."""
        self.store = store
        self.media_root = media_root
        self.network = Network(loop, self.rng)
        self.policy = RetryPolicy(max_failures=3, max_crashes=4, base_seconds=1.0, cap_seconds=15.0)
        self.clock_offset, self.clock_set_at = 0.0, -math.inf
        self.store_refuses = False
        self.violations: list[str] = []
        self.deeds: Counter[str] = Counter()
        self.masters: dict[str, MasterMachine] = {}
        self.workers: dict[str, WorkerMachine] = {}
        self.capabilities: dict[str, Capabilities] = {}
        self.well: dict[str, WorkerMachine] = {}
        """Every worker that ever was, by its name, which no other has."""
        self.excused: set[str] = set()
        """Names of workers that were killed, frozen or cut off, so that their jobs may be lost."""
        self.engines: set[SimulatedEngine] = set()
        self.fates: dict[str, Fate] = {}
        self.in_chunks: set[str] = set()
        """The ids of the jobs that are encoded in chunks, or would have been."""
        self.keys: dict[str, str] = {}
        """The ids of the jobs that a client was told of, by its own keys."""
        self.masters_changed_at = 0.0
        self.orders: dict[AttemptKey, Order] = {}
        self._generations: Counter[str] = Counter()
        self._submitted = self._drawn = 0
        self._outside = contextvars.copy_context()

    def now(self) -> float:
        """The time of day, in seconds since the epoch."""
        return EPOCH + self.loop.time() + self.clock_offset

    # Machines

    def start_master(self, name: str) -> None:
        """Start it, or start it again."""
        self._generations[name] += 1
        self.masters_changed_at = self.loop.time()
        self.masters[name] = MasterMachine(self, f"{name}.{self._generations[name]}")

    def kill_master(self, name: str) -> None:
        """Whatever it was doing."""
        self.masters[name].process.kill()
        self.masters_changed_at = self.loop.time()

    async def end_worker(self, name: str, patience: float) -> None:
        """Like SIGTERM, and a second one when it takes longer than ``patience``."""
        machine = self.workers[name]
        await machine.drain(patience)
        began, was_heard = self.loop.time(), self._is_heard(0)
        await machine.stop()
        if not was_heard or not self._is_heard(self.loop.time() - began):
            self.excused.add(machine.process.name)  # nobody may know that it gives its jobs back

    def start_worker(self, name: str) -> None:
        """Start it, or start it again: with an id of its own."""
        self._generations[name] += 1
        capabilities = _NODES[int(name[-1]) % len(_NODES)]
        machine = WorkerMachine(self, f"{name}.{self._generations[name]}", capabilities)
        self.workers[name] = self.well[machine.process.name] = machine
        self.capabilities[machine.worker.node.id] = machine.worker.node.capabilities

    def crash(self, process: Process) -> None:
        """An engine took its worker with it: the machine starts it again after a while."""
        [name] = [name for name, machine in self.workers.items() if machine.process is process]
        self.excused.add(process.name)
        process.kill()
        self.loop.call_later(self.rng.uniform(0.5, 5), self._restart, name, process, context=self._outside)

    def _restart(self, name: str, process: Process) -> None:
        if self.workers[name].process is process:
            self.start_worker(name)

    # Users

    async def submit(self) -> None:
        """A client that insists: the same jobs under the same keys, until one of the masters has said yes."""
        requests = [self._draw_request() for _ in range(self.rng.randint(1, 5))]
        while True:
            first = self._submitted
            self._submitted += len(requests)
            jobs = [accept(asked, f"job-{first + n:06d}") for n, asked in enumerate(requests)]
            self.in_chunks |= {job.id for job in jobs if job.parameters.chunk is not None}
            answers = await self._ask(lambda farm, jobs=jobs: farm.change(_insert(jobs)))
            for asked, answer in zip(requests, answers or (), strict=False):
                assert isinstance(answer, Accepted), answer
                key = str(asked.idempotency_key)
                if self.keys.setdefault(key, answer.job.id) != answer.job.id:
                    self.violations.append(f"the key {key} made two jobs")
            if answers is not None:
                return
            await asyncio.sleep(1)

    def _draw_request(self) -> JobRequest:
        rng = self.rng
        self._drawn += 1
        return JobRequest(
            scenario=rng.choice(["480p30-h264", "480p30-h264", "720p30-h264", "1080p30-h264", "480p30-h265"]),
            engine=rng.choice(["auto", "ffmpeg"]),
            queue=rng.choice(["live", "default", "batch"]),
            priority=rng.choice(["high", "medium", "low"]),
            idempotency_key=f"key-{self._drawn}",
            parameters=_IN_CHUNKS if rng.random() < _SHARE_IN_CHUNKS else RequestedParameters(),
        )

    async def act(self, action: Action | None = None, job_id: str | None = None) -> None:
        """A user's word about some job; not all make sense."""
        if not self.keys:
            return
        encoded = sorted(engine.key.job_id for engine in self.engines)
        job_id = job_id or self.rng.choice(encoded if encoded and self.rng.random() < 0.6 else list(self.keys.values()))
        action = action or self.rng.choice(ACTIONS)
        before = self._look(job_id)
        after = await self._ask(lambda farm: act_on(farm, job_id, action))
        if after is not None and before.attempt == after.attempt:
            self.orders[AttemptKey(job_id, after.attempt)] = Order(action, self.loop.time())

    async def _ask(self, ask: Callable[[Farm], Coroutine[Any, Any, T]]) -> T | None:
        """What one of the masters answers; None when none came, which says nothing of what was done."""
        master = self.rng.choice(list(self.masters.values()))
        asked = master.process.run(ask(master.farm))
        await asyncio.wait({asked}, timeout=10)
        if not asked.done() or asked.exception() is not None:
            if asked.done() and not isinstance(asked.exception(), ReelmillError):
                self.violations.append(f"a user was answered with {asked.exception()!r}")
            return None
        return asked.result()

    # What must never be seen

    def fate(self, job_id: str) -> Fate:
        """What becomes of the job whenever it is tried."""
        if job_id not in self.fates and job_id in self.in_chunks:  # what its chunks meet is enough
            self.fates[job_id] = "good"
        if job_id not in self.fates:
            self.fates[job_id] = self.rng.choices(list(FATES), list(FATES.values()))[0]
        return self.fates[job_id]

    def _look(self, job_id: str) -> Any:
        [row] = self.store.peek(_ROW, job_id)
        return row

    def look_at(self, engine: SimulatedEngine) -> None:
        """An engine that encodes although its lease is long over, or although a user said otherwise."""
        now, key = self.loop.time(), engine.key
        row = self._look(key.job_id)
        is_valid = row.attempt == key.attempt and row.lease_until is not None
        if is_valid and row.lease_until != engine.lease_until:
            engine.valid_at, engine.lease_until = now, row.lease_until
        if now - engine.valid_at > LEASE_SECONDS + 2 and now - engine.process.awake_since > 2:
            self.violations.append(f"{_name(key)} is encoded on {engine.process.name} past its lease")
        order = self.orders.get(key)
        if not self.is_kind or order is None or now - order.at <= ORDER_SECONDS:
            return
        if order.action == "cancel" or (order.action == "pause" and not engine.is_paused):
            self.violations.append(f"{_name(key)} is encoded {now - order.at:.1f} s after its {order.action}")

    def look_at_leases(self) -> None:
        """A job that nobody takes back although its lease is long over, and masters were there all the time (P4)."""
        late = LEASE_SECONDS + SWEEP_SECONDS + 3
        if not self._is_heard(late) or self.loop.time() - self.clock_set_at < late:
            return
        for job in self.store.peek(_OVERDUE, self.now() - SWEEP_SECONDS - 3):
            self.violations.append(f"{job.id} is still {job.status} on {job.node_name}, whose lease is long over")

    def set_clock(self, seconds: float) -> None:
        """Forth, or back. What several masters make of one set twice between the sweeps of one is not promised."""
        if len(self.masters) > 1 and self.loop.time() - self.clock_set_at < 2 * SWEEP_SECONDS:
            self.excused.update(machine.process.name for machine in self.workers.values())
        self.clock_offset += seconds
        self.clock_set_at = self.loop.time()

    def look_at_end(self, engine: SimulatedEngine) -> None:
        """An engine that its worker ended although the store still waits for it, and masters listened all the time."""
        key, row = engine.key, self._look(engine.key.job_id)
        is_valid = row.attempt == key.attempt and row.lease_until is not None
        machine = self.well[engine.process.name]
        is_wanted = is_valid and not machine.is_stopping and not engine.is_paused
        if self.is_kind and is_wanted and self._is_heard(LEASE_SECONDS):
            self.violations.append(f"{_name(key)} was ended by {engine.process.name}, which could have renewed it")

    def _is_heard(self, seconds: float) -> bool:
        """Whether all masters have been there for so long."""
        is_complete = not any(master.process.is_dead for master in self.masters.values())
        return is_complete and self.loop.time() - self.masters_changed_at >= seconds


def _insert(jobs: list[NewJob]) -> Callable[[Tx, Rules], list[Answer]]:
    return lambda tx, rules: insert_jobs(tx, jobs, rules.now)


def _name(key: AttemptKey) -> str:
    return f"attempt {key.attempt} at {key.job_id}"
