"""The agent: asks for jobs as long as there is room, keeps their leases alive, and stops cleanly."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog
import uuid_utils

from reelmill import __version__
from reelmill.bus.protocol import Bus, Subscription
from reelmill.bus.words import BEAT, CLAIM, GARBAGE, GOODBYE, ROOM, Beat, Claim, Room, drop_notice
from reelmill.domain.attempt import AttemptKey, AttemptReport, BeatAnswer, Grant, Offer, UnpublishedOutput
from reelmill.domain.lifecycle import Fail, Publish, Return
from reelmill.domain.node import NodeInfo
from reelmill.errors import StartupError
from reelmill.service import PeriodicService, Service, stop_all
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.failed import AttemptFailed
from reelmill.worker.inventory import Inventory
from reelmill.worker.probe import Probe
from reelmill.worker.publish import find_attempt_output, list_attempts, publish, remove_attempt
from reelmill.worker.reporter import Reporter

log = structlog.get_logger()

_CLAIM_WAIT = 20.0
_ANSWER_SECONDS = 5.0
_FENCE_SHARE = 2 / 3
"""An attempt whose lease was not renewed for this share of it is ended by its own worker."""


class Worker(Service):
    """Runs jobs on this machine. Its id is new with every start, so it never adopts what a dead one held."""

    def __init__(
        self,
        bus: Bus,
        inventory: Inventory,
        media_root: Path,
        *,
        name: str,
        reserve_live: int = 0,
        beat_seconds: float = 2.0,
    ) -> None:
        capabilities = inventory.capabilities
        if reserve_live >= capabilities.units and reserve_live > 0:
            raise StartupError(f"reserve-live is {reserve_live}, and this node has {capabilities.units} units in all")
        self.node = NodeInfo(str(uuid_utils.uuid7()), name, capabilities, __version__, time.time())
        self._bus = bus
        self._reserve_live = reserve_live
        self._probe = Probe()
        self._reporter = Reporter(bus)
        engines = {"ffmpeg": inventory.engine()}
        self._workshop = Workshop(self.node.id, media_root, dict(engines), self._probe, self._reporter)
        self._free = capabilities.units
        self._running: dict[AttemptKey, tuple[Attempt, asyncio.Task[None]]] = {}
        self._room = asyncio.Event()
        self._draining = False
        self._beats = _Beats(self, beat_seconds)
        self._claims: asyncio.Task[None] | None = None
        self._drops: Subscription | None = None

    @property
    def running_jobs(self) -> int:
        """How many attempts are under way."""
        return len(self._running)

    async def start(self) -> None:
        """Return when the worker is known to a master and asks for jobs."""
        if self._claims is not None:
            return
        await asyncio.gather(self._probe.start(), self._reporter.start())
        self._drops = await drop_notice(self.node.id).listen(self._bus, self._drop)
        await self._beats.run_once()
        await self._beats.start()
        await self._remove_garbage()
        self._room.set()
        self._claims = asyncio.create_task(self._claim_forever(), name="claims")

    async def drain(self) -> None:
        """Take no new jobs and return when the running ones have ended."""
        self._draining = True
        self._room.set()
        await ROOM.tell(self._bus, Room(self.node.id, 0))
        if self._claims is not None:
            await asyncio.wait({self._claims})
        while self._running:
            await asyncio.wait({task for _, task in self._running.values()})

    async def stop(self) -> None:
        """End the running jobs at once and give them back, then leave."""
        if self._claims is None:
            return
        self._draining = True
        self._claims.cancel()
        held = list(self._running.values())
        for _, task in held:
            task.cancel()
        await asyncio.gather(self._claims, *(task for _, task in held), return_exceptions=True)
        self._claims = None
        for attempt, _ in held:
            given_back = Return("its worker was stopped")
            self._reporter.send(AttemptReport(attempt.grant.key, self.node.id, given_back))
        await stop_all(self._beats, self._reporter, self._probe)
        await GOODBYE.ask(self._bus, self.node.id, _ANSWER_SECONDS)
        if self._drops is not None:
            await self._drops.close()

    async def _claim_forever(self) -> None:
        while not self._draining:
            if self._free <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            offer = Offer(self.node.id, self.node.name, self.node.capabilities, self._free, self._reserve_live)
            asked_at = asyncio.get_running_loop().time()
            grants = await CLAIM.ask(self._bus, Claim(offer, _CLAIM_WAIT), _CLAIM_WAIT + _ANSWER_SECONDS)
            if grants is None:
                await asyncio.sleep(1.0)  # no master answers now
            for grant in grants or ():
                self._begin(grant, asked_at)

    def _begin(self, grant: Grant, asked_at: float) -> None:
        # The lease runs from when the master gave it, which was after we asked; a long poll makes that too early
        # a fence, so the next beat, never later than a third of the lease, sets it right.
        attempt = Attempt(grant, self._workshop, self._take_room)
        loop = asyncio.get_running_loop()
        attempt.fence_at = max(asked_at, loop.time() - 1.0) + grant.lease_seconds * _FENCE_SHARE
        self._free -= grant.units
        task = asyncio.create_task(attempt.run(), name=f"job {grant.key.job_id}")
        self._running[grant.key] = (attempt, task)
        task.add_done_callback(lambda _: self._running.pop(grant.key, None))

    def _take_room(self, units: int) -> None:
        self._free += units
        self._room.set()
        if not self._draining:
            # If a claim is parked, the master must know of the new room; if none is, nobody cares.
            told = asyncio.ensure_future(ROOM.tell(self._bus, Room(self.node.id, self._free)))
            told.add_done_callback(lambda _: None)

    async def _drop(self, key: AttemptKey) -> None:
        held = self._running.get(key)
        if held is not None:
            log.info("attempt_dropped", job=key.job_id, attempt=key.attempt)
            held[1].cancel()

    async def beat(self) -> BeatAnswer | None:
        """Tell a master what is held here, and do what it answers; None when no master answered in time."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        held = [attempt.progress for attempt, _ in self._running.values()]
        answer = await BEAT.ask(self._bus, Beat(self.node, held), _ANSWER_SECONDS)
        if answer is not None:
            for key in answer.renewed:
                if key in self._running:
                    self._running[key][0].fence_at = asked_at + answer.lease_seconds * _FENCE_SHARE
            for key in answer.drop:
                await self._drop(key)
            for order in answer.publish:
                await self._finish_publishing(order)
        for attempt, task in list(self._running.values()):
            if loop.time() >= attempt.fence_at:
                log.warning("lease_not_renewed", job=attempt.grant.key.job_id, attempt=attempt.grant.key.attempt)
                task.cancel()
        return answer

    async def _finish_publishing(self, order: UnpublishedOutput) -> None:
        """Rename what a lost worker had verified; nothing is encoded again."""
        if order.key in self._running:
            return
        root = self._workshop.media_root
        try:
            output = find_attempt_output(root, order.key)
            await asyncio.to_thread(publish, output, root, order.output, order.sha256, overwrite=order.overwrite)
            event = Publish()
        except AttemptFailed as failed:
            event = Fail(failed.failure)
        await self._reporter.send(AttemptReport(order.key, self.node.id, event))
        await asyncio.to_thread(remove_attempt, root, order.key)

    async def _remove_garbage(self) -> None:
        """Remove the folders of attempts that dead workers left behind."""
        root = self._workshop.media_root
        left = await asyncio.to_thread(list_attempts, root)
        garbage = await GARBAGE.ask(self._bus, left, _ANSWER_SECONDS) if left else []
        for key in garbage or ():
            await asyncio.to_thread(remove_attempt, root, key)


class _Beats(PeriodicService):
    """A sign of life every ``interval`` seconds."""

    def __init__(self, worker: Worker, interval: float) -> None:
        super().__init__(interval)
        self._worker = worker

    async def run_once(self) -> BeatAnswer | None:
        return await self._worker.beat()
