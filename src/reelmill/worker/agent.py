"""The agent: asks for jobs as long as there is room, keeps their leases alive, and stops cleanly."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

import msgspec
import structlog
import uuid_utils

from reelmill import __version__
from reelmill.bus.protocol import Bus, Subscription
from reelmill.bus.words import (
    BEAT,
    CLAIM,
    GARBAGE,
    GOODBYE,
    LIVE,
    MASTER_LEFT,
    ROOM,
    Beat,
    Claim,
    Room,
    check_question,
    order_notice,
    ping_question,
)
from reelmill.domain.attempt import AttemptKey, AttemptOrder, AttemptReport, Grant, Offer, UnpublishedOutput
from reelmill.domain.lifecycle import Fail, Publish, Return
from reelmill.domain.node import NodeInfo
from reelmill.errors import StartupError
from reelmill.media.failed import AttemptFailed
from reelmill.service import Service, stop_all
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.confinement import UNLIMITED, EngineLimits
from reelmill.worker.depot import Depot
from reelmill.worker.health import Health, find_trouble
from reelmill.worker.held import Held
from reelmill.worker.inventory import Inventory
from reelmill.worker.live import LIVE_SECONDS, LiveWords
from reelmill.worker.place_trial import try_place
from reelmill.worker.probe import Probe
from reelmill.worker.process import HANG_SECONDS
from reelmill.worker.reporter import Reporter
from reelmill.worker.rounds import Rounds
from reelmill.worker.sessions import UNLIMITED_SESSIONS, Sessions
from reelmill.worker.shortage import file_limit, find_file_shortage, find_full_temporary_folder, open_files
from reelmill.worker.source_attempt import begin_attempt

log = structlog.get_logger()

CLEAN_SECONDS = 60.0
_CLEANED_AT_ONCE = 500
_GARBAGE_AT_ONCE = 10_000
"""Of so many folders a master is asked in one word, which must fit on every bus."""
_CLAIM_WAIT = 20.0
_UNITS_TO_A_PROBE = 4
_ANSWER_SECONDS = 5.0
_BEAT_SECONDS = 3.0
"""So long a beat waits for its answer. The master that was asked may be frozen: the next asks another."""

_ASK_ANEW_SECONDS = 0.5
_FENCE_SHARE = 2 / 3
"""An attempt whose lease was not renewed for this share of it is ended by its own worker."""


class Worker(Service):
    """Runs jobs on this machine. Its id is new with every start, so it never adopts what a dead one held."""

    def __init__(
        self,
        bus: Bus,
        inventory: Inventory,
        depot: Depot,
        *,
        name: str,
        node_id: str | None = None,
        reserve_live: int = 0,
        min_free: int = 0,
        engine_limits: EngineLimits = UNLIMITED,
        beat_seconds: float = 2.0,
        hang_seconds: float = HANG_SECONDS,
        sessions: Sessions = UNLIMITED_SESSIONS,
        make_attempt: Callable[[Grant, Workshop, Callable[[Grant], None]], Attempt] = begin_attempt,
    ) -> None:
        """``min_free`` bytes must be free on the disk of the depot's folder for a job; ``node_id`` is new unless given.
        ``make_attempt`` gives an attempt its meter; benchmarks replace the engine by it.
        """
        capabilities = inventory.capabilities
        if inventory.shortage is not None:  # it was not the user who made the node so small
            reserve_live = min(reserve_live, capabilities.units - 1)
        if reserve_live >= capabilities.units and reserve_live > 0:
            raise StartupError(f"reserve-live is {reserve_live}, and this node has {capabilities.units} units in all")
        capabilities = msgspec.structs.replace(capabilities, reserve_live=reserve_live)
        self._shortages = [] if inventory.shortage is None else [inventory.shortage]
        self.node = NodeInfo(node_id or str(uuid_utils.uuid7()), name, capabilities, __version__, time.time())
        self._bus = bus
        self._depot = depot
        self._make_attempt = make_attempt
        self._probe = Probe(processes=max(2, capabilities.units // _UNITS_TO_A_PROBE))
        self._reporter = Reporter(bus)
        shared = (depot, inventory.engines(), self._probe, self._reporter)
        self._workshop = Workshop(self.node.id, *shared, engine_limits, hang_seconds, sessions)
        self._free = capabilities.units
        self._live = 0
        self._claim_number = 0
        self._asking: asyncio.Future[list[Grant] | None] | None = None
        """The claim that a master may keep open."""
        self._tells_room = False
        self._held: dict[AttemptKey, Held] = {}
        self._errands: dict[Hashable, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._draining = False
        self._beats = Rounds("beats", self.beat, beat_seconds)
        self._live_words = LiveWords()
        self._telling = Rounds("live words", self._tell_live, LIVE_SECONDS)
        find = partial(find_trouble, depot.folder, min_free, [inventory.ffmpeg.path])
        self._health = Health(find, self._note_trouble, beat_seconds)
        self._cleaning = Rounds("cleaning", self._remove_garbage, CLEAN_SECONDS)
        self._claims: asyncio.Task[None] | None = None
        self._subscriptions: list[Subscription] = []

    @property
    def running_jobs(self) -> int:
        """How many attempts are under way."""
        return len(self._held)

    async def start(self) -> None:
        """Return when the worker is known to a master and asks for jobs."""
        if self._claims is not None:
            return
        await asyncio.gather(self._probe.start(), self._reporter.start(), self._depot.open(self.node.id))
        self._make_do()
        self._subscriptions = [
            await order_notice(self.node.id).listen(self._bus, self._obey),
            await ping_question(self.node.id).answer(self._bus, _say_yes),
            await check_question(self.node.id).answer(self._bus, partial(try_place, self._depot)),
            await MASTER_LEFT.listen(self._bus, self._ask_anew),
        ]
        await self._health.run_once()
        await self.beat()
        await self._remove_garbage()
        await asyncio.gather(*(one.start() for one in (self._beats, self._telling, self._health, self._cleaning)))
        self._claims = asyncio.create_task(self._claim_forever(), name="claims")

    def _make_do(self) -> None:
        """Use no more units than there are files for, and say what this machine has too little of."""
        capabilities = self.node.capabilities
        shortage = find_file_shortage(capabilities.units, file_limit(), open_files())
        if shortage is not None:
            self._free = shortage.units
            kept = min(capabilities.reserve_live, shortage.units - 1)
            capabilities = msgspec.structs.replace(capabilities, units=shortage.units, reserve_live=kept)
            self.node = msgspec.structs.replace(self.node, capabilities=capabilities)
            self._shortages.append(shortage.reason)
        for reason in self._shortages:
            log.warning("takes_fewer_jobs", reason=reason)
        full = find_full_temporary_folder()
        if full is not None:
            log.warning("no_temporary_files", reason=full)

    async def drain(self) -> None:
        """Take no new jobs and return when the running ones have ended; paused ones, which may never, go back."""
        await self._take_no_more()
        if self._claims is not None:
            await asyncio.wait({self._claims})
        self._give_back_paused()
        while self._held:
            await asyncio.wait({held.task for held in self._held.values()})

    async def stop(self) -> None:
        """End the running jobs at once and give them back, then leave."""
        await self._take_no_more()
        held = list(self._held.values())
        ending = [one.task for one in held] + list(self._errands.values()) + ([self._claims] if self._claims else [])
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for one in held:
            self._return(one.attempt)
        was_known, self._claims = self._claims is not None, None
        await stop_all(self._cleaning, self._health, self._telling, self._beats, self._reporter, self._probe)
        await self._depot.close()
        if was_known:
            await GOODBYE.ask(self._bus, self.node.id, _ANSWER_SECONDS)
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions = []

    def _return(self, attempt: Attempt, why: str = "its worker was stopped") -> None:
        event = Return(why, attempt.account.spent())
        self._reporter.send(AttemptReport(attempt.grant.key, self.node.id, event))

    def _give_back_paused(self) -> None:
        for key, held in self._held.items():
            if held.attempt.is_paused and key not in self._errands:
                self._run_errand(key, self._give_back(held))

    async def _give_back(self, held: Held) -> None:
        held.task.cancel()
        await asyncio.wait({held.task})
        self._return(held.attempt)

    async def _take_no_more(self) -> None:
        self._draining = True
        self.node = msgspec.structs.replace(self.node, stopping=True)
        self._beats.wake()  # who looks at the nodes sees it
        self._room.set()
        await ROOM.tell(self._bus, Room(self.node.id, 0))

    async def _claim_forever(self) -> None:
        while not self._draining:
            if self._free <= 0 or self.node.trouble is not None:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                grants = await self._claim()
            except Exception:  # whatever it is, a worker that silently asks for nothing is worse
                log.exception("claim_failed")
                grants = None
            if grants is None:
                await asyncio.sleep(1.0)  # no master answers now
                await ROOM.tell(self._bus, Room(self.node.id, 0))  # one may hold the claim open, and we hear it no more
            for grant in grants or ():
                self._begin(grant)

    async def _claim(self) -> list[Grant] | None:
        """What a master gives; None when none answers."""
        if await self._health.recent() is not None:  # what has just failed for want of room would fail again
            return []
        if self._draining:  # since then: the word that takes a claim back would have come before this claim
            return []
        self._claim_number += 1
        offer = Offer(self.node.id, self.node.name, self.node.capabilities, self._free, self._live)
        claim = Claim(offer, _CLAIM_WAIT, self._claim_number)
        asking = self._asking = asyncio.ensure_future(CLAIM.ask(self._bus, claim, _CLAIM_WAIT + _ANSWER_SECONDS))
        try:
            await asyncio.wait({asking})
            return [] if asking.cancelled() else asking.result()
        except asyncio.CancelledError:
            asking.cancel()
            raise
        finally:
            self._asking = None

    async def _ask_anew(self, _master_id: str) -> None:
        """A master left, and perhaps with our claim: take that back, and ask those that are there."""
        asking = self._asking
        await asyncio.sleep(random.random())  # thousands of nodes hear it
        if asking is None or self._asking is not asking:
            return
        await ROOM.tell(self._bus, Room(self.node.id, 0))  # whoever keeps it open answers it
        await asyncio.wait({asking}, timeout=_ASK_ANEW_SECONDS)
        asking.cancel()

    async def _note_trouble(self, trouble: str | None) -> None:
        was, self.node = self.node.trouble, msgspec.structs.replace(self.node, trouble=trouble)
        if (was is None) == (trouble is None):
            return
        self._beats.wake()  # who looks at the nodes sees it
        if trouble is None:
            log.info("takes_jobs_again")
            self._room.set()
        else:
            log.warning("takes_no_jobs", reason=trouble)
            await ROOM.tell(self._bus, Room(self.node.id, 0))

    def _begin(self, grant: Grant) -> None:
        attempt = self._make_attempt(grant, self._workshop, self._take_room)
        self._free -= grant.units
        self._live += grant.units if grant.live else 0
        held = Held(attempt, asyncio.create_task(attempt.run(), name=f"job {grant.key.job_id}"))
        self._held[grant.key] = held
        # The lease runs since the master gave it, a moment ago; the next beat sets the fence by its own clock.
        held.fence(asyncio.get_running_loop().time() + grant.lease_seconds * _FENCE_SHARE)
        held.task.add_done_callback(lambda _: self._forget(grant.key))

    async def _tell_live(self) -> None:
        live = self._live_words.collect(self.node.id, [held.attempt for held in self._held.values()])
        if live is not None:
            await LIVE.tell(self._bus, live)
        if self._live_words.has_news_for_store:
            self._beats.wake()

    def _forget(self, key: AttemptKey) -> None:
        self._held[key].attempt.free_room()  # one that was dropped before its first step could not do it
        held = self._held.pop(key)
        held.unfence()
        self._live_words.note_end(held.attempt)
        if not held.task.cancelled() and (error := held.task.exception()) is not None:
            log.error("attempt_task_failed", job=key.job_id, attempt=key.attempt, exc_info=error)

    def _take_room(self, grant: Grant) -> None:
        self._free += grant.units
        self._live -= grant.units if grant.live else 0
        self._room.set()
        if self._held[grant.key].attempt.has_failed:
            self._health.doubt()
        if self._asking is not None and not self._tells_room and not self._draining:
            self._tells_room = True
            self._run_errand(ROOM, self._tell_room())

    async def _tell_room(self) -> None:
        """A master keeps a claim open that says less than there is now: tell it, once for all that ends at a time."""
        told: Room | None = None
        while told != (room := Room(self.node.id, self._free, self._live, self._claim_number)) and not self._draining:
            await ROOM.tell(self._bus, room)
            told = room
        self._tells_room = False

    def _run_errand(self, key: Hashable, errand: Coroutine[Any, Any, None]) -> None:
        task = self._errands[key] = asyncio.create_task(errand)
        task.add_done_callback(lambda _: self._errands.pop(key, None))

    async def _obey(self, order: AttemptOrder) -> None:
        held = self._held.get(order.key)
        if held is None:
            return
        held.ordered_at = asyncio.get_running_loop().time()
        if order.what == "drop":
            self._drop(held)
        else:
            self._let_stand(held, order.what == "pause")

    def _drop(self, held: Held) -> None:
        # An attempt that has said its last word hears from the store what that was worth.
        if not held.attempt.awaits_verdict:
            key = held.attempt.grant.key
            log.info("attempt_dropped", job=key.job_id, attempt=key.attempt)
            held.task.cancel()
            if key not in self._errands:
                self._run_errand(key, self._say_what_was_used(held))

    async def _say_what_was_used(self, held: Held) -> None:
        """Of an attempt that the store took away: the word gives nothing back, and is heard for its figures only."""
        await asyncio.wait({held.task})
        spent = held.attempt.account.spent()
        if spent is not None and spent.is_known:
            self._return(held.attempt, "was taken away")

    def _let_stand(self, held: Held, paused: bool) -> None:
        if paused:
            held.attempt.pause()
        else:
            held.attempt.resume()
        if self._draining:
            self._give_back_paused()

    async def beat(self) -> None:
        """Tell a master what is held here, and do what it answers."""
        asked_at = asyncio.get_running_loop().time()
        holding = [held.attempt.progress for held in self._held.values()]
        answer = await BEAT.ask(self._bus, Beat(self.node, holding), _BEAT_SECONDS)
        if answer is None:  # the fences are set: without a renewal they do their work
            self._beats.pause_at_least(0)  # the fences are near: the next comes as soon as it may
            if asyncio.get_running_loop().time() - asked_at >= _BEAT_SECONDS:
                self._beats.wake()
            return
        self._beats.pause_at_least(answer.pause_seconds)
        for key in answer.renewed:
            if (held := self._held.get(key)) is not None:
                held.fence(asked_at + answer.lease_seconds * _FENCE_SHARE)
                if held.ordered_at < asked_at:  # an order that came meanwhile may be newer than this answer
                    self._let_stand(held, key in answer.paused)
        for key in answer.drop:
            if (held := self._held.get(key)) is not None:
                self._drop(held)
        for order in answer.publish:
            if order.key not in self._held and order.key not in self._errands:
                self._run_errand(order.key, self._finish_publishing(order))

    async def _finish_publishing(self, order: UnpublishedOutput) -> None:
        """Rename what a lost worker had verified; nothing is encoded again."""
        try:
            await self._depot.publish(order)
            event = Publish()
            self._depot.remove(order.key)
        except AttemptFailed as failed:
            event = Fail(failed.failure)
        await self._reporter.send(AttemptReport(order.key, self.node.id, event))

    async def _remove_garbage(self) -> None:
        """Remove the folders of attempts that are over."""
        left = [key for key in await self._depot.list_attempts() if key not in self._held]
        left = random.sample(left, min(len(left), _CLEANED_AT_ONCE))  # thousands of nodes may share one folder
        some = random.sample(left, min(len(left), _GARBAGE_AT_ONCE))
        garbage = await GARBAGE.ask(self._bus, some, _ANSWER_SECONDS) if some else []
        for key in garbage or ():
            if key not in self._errands:
                await asyncio.to_thread(self._depot.remove, key)


async def _say_yes(_nothing: None) -> bool:
    return True
