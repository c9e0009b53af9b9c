"""The master: all its services in the order in which they must start and stop."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reelmill.bus.protocol import Bus
from reelmill.clock import Clock
from reelmill.domain.retry import RetryPolicy
from reelmill.domain.scenario import use_scenarios
from reelmill.master.api.app import create_app
from reelmill.master.attempt_cleaner import AttemptCleaner
from reelmill.master.clock_watch import ClockWatch
from reelmill.master.doorman import Doorman
from reelmill.master.farm import Farm, Gate
from reelmill.master.media_desk import MediaDesk
from reelmill.master.metrics import Metrics
from reelmill.master.news import News
from reelmill.master.object_desk import ObjectDesk
from reelmill.master.presence import Presence
from reelmill.master.pruner import Pruner, Trimmer
from reelmill.master.reaper import Reaper
from reelmill.master.scheduler import Scheduler
from reelmill.master.server import HttpServer
from reelmill.master.settler import Settler
from reelmill.service import PeriodicService, Service, stop_all
from reelmill.settings import Settings
from reelmill.store.protocol import Store

if TYPE_CHECKING:
    from reelmill.media.object_place import ObjectPlace


def background(farm: Farm, retention_seconds: float | None, *, alone: bool) -> list[Service]:
    """What a master does unasked, in the order in which it starts; ``alone``: see `Master`."""
    return [
        Settler(farm),
        Scheduler(farm),
        Reaper(farm, workers_died_too=alone),
        Pruner(farm, retention_seconds),
        Trimmer(farm),
        AttemptCleaner(farm),
    ]


class Master(Service):
    """Serves one farm over the given store and bus, which must have been started."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        bus: Bus,
        clock: Clock,
        *,
        alone: bool,
        gate: Gate | None = None,
        objects: ObjectPlace | None = None,
    ) -> None:
        """``alone`` says that the only worker lives in this very process; media are in ``objects`` if there are any."""
        use_scenarios(settings.own_scenarios)
        self.farm = Farm(
            store=store,
            bus=bus,
            clock=clock,
            policy=RetryPolicy(
                max_failures=settings.max_failures,
                max_crashes=settings.max_crashes,
                base_seconds=settings.retry_base_seconds,
            ),
            rng=random.Random(),
            lease_seconds=settings.lease_seconds,
            media_root=settings.media_folder,
            data_folder=settings.data,
            metrics=Metrics(),
            max_queued=settings.max_queued or None,
            stream_hosts=settings.hosts_to_stream_with,
            chunking=settings.chunking,
            gate=gate,
            objects=objects,
        )
        self.news = News(self.farm)

        def address() -> str:
            return settings.public_url or self._server.address

        desk = MediaDesk(self.farm, address) if objects is None else ObjectDesk(self.farm, address, objects)
        names = ",".join((settings.host, settings.allowed_hosts, urlsplit(settings.public_url).hostname or ""))
        self._server = HttpServer(
            create_app(self.farm, self.news, names, self._find_troubles, desk, self._find_warnings),
            settings.host,
            settings.port,
        )
        self._clock_watch = ClockWatch(self.farm)
        self._services: list[Service] = [
            self._clock_watch,
            *background(self.farm, settings.retention_seconds, alone=alone),
            desk,
            self._server,
            self.news,  # it stops first: an open stream would hold the server up
        ]
        self.doorman = Doorman(self.farm)
        if gate is not None:
            self._services = [self.doorman, *self._services, Presence(self.farm, gate.departures)]

    def _find_troubles(self) -> list[str]:
        troubles = [service.trouble for service in self._services if isinstance(service, PeriodicService)]
        return [trouble for trouble in troubles if trouble is not None]

    def _find_warnings(self) -> list[str]:
        return [] if self._clock_watch.degraded is None else [self._clock_watch.degraded]

    @property
    def url(self) -> str:
        """Where the API answers."""
        return self._server.url

    async def start(self) -> None:
        """Start every service; what was started is stopped again when one fails."""
        try:
            for service in self._services:
                await service.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await stop_all(*reversed(self._services))
