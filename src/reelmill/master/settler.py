"""The settler: hears what workers say of their attempts, and lets only what is not stale count."""

from __future__ import annotations

import msgspec
import structlog

from reelmill.bus.protocol import Subscription
from reelmill.bus.words import BEAT, GARBAGE, GONE, GOODBYE, REPORT, Beat
from reelmill.domain.attempt import AttemptKey, AttemptReport, BeatAnswer
from reelmill.master.farm import Farm
from reelmill.master.gathering import Gathering
from reelmill.service import PeriodicService
from reelmill.store.attempts import SignOfLife, beat_all, find_garbage, report, say_goodbye
from reelmill.store.nodes import count_nodes

log = structlog.get_logger()

_BEATS_PER_SECOND = 1_000
"""With so many nodes that this would be exceeded, each beats more rarely; but not so rarely that leases run out."""

_LOOK_SECONDS = 5.0
_REMEMBERED_SECONDS = 600.0
"""After a farm has stood still, its nodes come back all at once: they count before they were heard."""


class Settler(PeriodicService):
    """Answers beats, reports and goodbyes; every answer is sent after the durable commit."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(_LOOK_SECONDS)
        self._farm = farm
        self._reports = Gathering(farm, report)
        self._beats = Gathering[SignOfLife, BeatAnswer](
            farm, lambda tx, signs, rules: beat_all(tx, signs, farm.lease_seconds, rules)
        )
        self._subscriptions: list[Subscription] = []
        self._beat_pause = 0.0

    async def start(self) -> None:
        await self.run_once()
        if not self._subscriptions:
            bus = self._farm.bus
            self._subscriptions = [
                await REPORT.answer(bus, self._hear_reports),
                await BEAT.answer(bus, self._hear_beat),
                await GARBAGE.answer(bus, self._hear_garbage),
                await GOODBYE.answer(bus, self._hear_goodbye),
            ]
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions = []

    async def run_once(self) -> None:
        """Count the nodes, to tell them how often they should beat."""
        since = self._farm.clock.now() - _REMEMBERED_SECONDS
        nodes = await self._farm.store.read(lambda tx: count_nodes(tx, since))
        self._beat_pause = min(nodes / _BEATS_PER_SECOND, self._farm.lease_seconds / 3)

    async def _hear_reports(self, reports: list[AttemptReport]) -> list[bool]:
        outcomes = await self._reports.change(reports)
        for said, outcome in zip(reports, outcomes, strict=True):
            if isinstance(outcome, Exception):  # asked again it would fail again: the attempt ends by its lease
                log.error("report_failed", job=said.key.job_id, attempt=said.key.attempt, exc_info=outcome)
        verdicts = [outcome is True for outcome in outcomes]
        self._farm.metrics.reports.inc(sum(verdicts))
        self._farm.metrics.stale.inc(len(verdicts) - sum(verdicts))
        return verdicts

    async def _hear_beat(self, word: Beat) -> BeatAnswer:
        [answer] = await self._beats.change([SignOfLife(word.node, word.held)])
        if isinstance(answer, Exception):
            raise answer
        return msgspec.structs.replace(answer, pause_seconds=self._beat_pause)

    async def _hear_goodbye(self, node_id: str) -> None:
        await self._farm.change(lambda tx, rules: say_goodbye(tx, node_id, rules))
        await GONE.tell(self._farm.bus, node_id)

    async def _hear_garbage(self, keys: list[AttemptKey]) -> list[AttemptKey]:
        return await self._farm.store.read(lambda tx: find_garbage(tx, keys))
