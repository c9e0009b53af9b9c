"""A campaign: so many kills, chosen by a seed, of farms that work under load; and what was left behind it all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import psutil
import psycopg

from reelmill.store.postgres import PostgresStore
from reelmill.store.protocol import Store
from reelmill.store.sqlite import SqliteStore
from tests.chaos.aftermath import Aftermath, read_aftermath
from tests.chaos.bad_engine import BAD_BITRATE, make_bad_engine
from tests.chaos.load import Load
from tests.chaos.mortal import MortalFarm, words_of
from tests.chaos.nemesis import Blow, Nemesis
from tests.e2e.conftest import Commands, wait_for

_DRAIN_SECONDS = 900.0


class Ending(NamedTuple):
    """How a campaign ended. Times in seconds."""

    kills: Counter[str]
    accepted: Collection[str]
    repeated: int
    aftermath: Aftermath
    violations: Sequence[str]
    reruns: Sequence[float]
    """From each kill of a farm to the next start of each job that it was encoding."""
    last_of_family: Sequence[float]
    """From each kill of a farm to the end of the last process that it had started."""


class Campaign:
    """Farms over one store (two on PostgreSQL when ``store`` is its URL, else one on SQLite), a load and a nemesis."""

    def __init__(self, commands: Commands, seed: int, *, store: str = "", seconds: float = 0.5) -> None:
        """``seconds`` are the length of each output."""
        variables = {
            "REELMILL_MAX_CRASHES": "1000",  # no job is to fail because of us
            "REELMILL_MAX_FAILURES": "1000",
            "REELMILL_RETRY_BASE_SECONDS": "0.1",
            "REELMILL_SLOTS": "3",
            "REELMILL_FFMPEG": make_bad_engine(commands.folder, "exec sleep 3600"),
            "REELMILL_HANG_SECONDS": "3600",
            "REELMILL_STORE": store,
            "REELMILL_LEASE_SECONDS": "3" if store else "30",
        }
        self.farms = [MortalFarm(commands, name, **variables) for name in ("north", "south")[: 2 if store else 1]]
        self._nemesis = Nemesis(seed, len(self.farms), database=bool(store))
        self._load = Load(self.farms, seconds)
        self._commands = commands
        self._store = store
        self._kills: Counter[str] = Counter()
        self._killed_farms: list[tuple[float, str]] = []
        self._last_of_family: list[float] = []

    def run(self, kills: int, tell: Callable[[str], None] = lambda line: None) -> Ending:
        """Strike so often, let the farms end all the work, stop them, and look."""
        for farm in self.farms:
            farm.start()
            farm.up()
        # One engine that never ends by itself: as an orphan it would be found.
        sleepers = self.farms[0].submit(bitrate=BAD_BITRATE)
        self._load.start()
        blows = self._nemesis.blows()
        for number in range(1, kills + 1):
            while not self._strike(next(blows)):
                pass  # there was no engine, say, at that moment
            if number % 20 == 0:
                tell(f"{number} kills, {len(self._load.accepted)} jobs accepted")
        for farm in self.farms:
            supervise(farm)
        self._load.stop()
        for sleeper in sleepers:
            self.farms[0].act(sleeper, "cancel")
        self._await_the_end()
        for farm in self.farms:
            farm.stop()
        self.farms[0].start()  # attempt folders of the dead are removed by the next start
        self.farms[0].up().stop()
        return self._look(sleepers)

    def _strike(self, blow: Blow) -> bool:
        if not blow.while_starting:
            supervise(self.farms[blow.farm])
        time.sleep(blow.after)
        if blow.victim in ("farm", "all"):
            self._kill_farms(self.farms if blow.victim == "all" else [self.farms[blow.farm]])
        elif blow.victim == "database":
            kill_server(self._store)
        elif not kill_one(self.farms[blow.farm], self._nemesis.rng, engine=blow.victim == "engine"):
            return False
        self._kills[blow.victim] += 1
        return True

    def _kill_farms(self, victims: Sequence[MortalFarm]) -> None:
        for farm in victims:  # all at once, before the first of them is mourned
            self._killed_farms.append((time.time(), farm.name))
            farm.process.kill()
        self._last_of_family += [farm.kill() for farm in victims]
        for farm in victims:
            farm.start()

    def _await_the_end(self) -> None:
        def waiting() -> int:
            counts = self.farms[0].get("/jobs/summary")["by_status"]
            return sum(counts.get(status, 0) for status in ("queued", "assigned", "running", "retrying", "paused"))

        wait_for(waiting, lambda n: n == 0, _DRAIN_SECONDS)

    def _look(self, sleepers: Sequence[str]) -> Ending:
        store: Store = PostgresStore(self._store) if self._store else SqliteStore(self.farms[0].database)
        after = asyncio.run(read_aftermath(store, self._commands.media))
        return Ending(
            kills=self._kills,
            accepted=self._load.accepted,
            repeated=self._load.repeated,
            aftermath=after,
            violations=after.violations([*self._load.accepted, *sleepers]),
            reruns=[rerun for at, name in self._killed_farms for rerun in after.reruns(at, name)],
            last_of_family=self._last_of_family,
        )


def supervise(farm: MortalFarm) -> None:
    """Wait until it answers; one that could not start, because the database was down, is started again."""

    def look() -> bool:
        if farm.process.poll() is not None:
            farm.bury()
            farm.start()
        return farm.answers()

    wait_for(look, bool)


def kill_server(url: str) -> None:
    """kill -9 of one process of PostgreSQL: it ends all others, throws away their memory, and recovers from its log."""
    try:
        with psycopg.connect(url) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
    except psycopg.OperationalError:
        return  # it is still busy with the kill before


def kill_one(farm: MortalFarm, rng: random.Random, *, engine: bool) -> bool:
    """kill -9 one engine of the farm, or its probe; False when it has none at the moment."""
    family = [process for process in farm.family() if ("reelmill.worker.probe_process" in words_of(process)) != engine]
    if not family:
        return False
    try:
        rng.choice(family).kill()
    except psutil.NoSuchProcess:
        return False
    return True
