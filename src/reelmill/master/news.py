"""The news: every event of the farm to everybody who listens at this master, read once for all of them.

Transitions come from the store's history, which every master of a farm shares; progress and lines of logs come from the
workers over the bus, and are checked against the store by the same read. Nothing is read while nobody listens.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from functools import partial
from typing import NamedTuple

from reelmill.bus.protocol import Subscription
from reelmill.bus.words import LIVE, Live, LogLines
from reelmill.domain.attempt import AttemptKey, Progress
from reelmill.errors import Unavailable
from reelmill.master.farm import Farm
from reelmill.master.happening import Happening, Wanted, tell_lines, tell_progress, tell_step
from reelmill.master.subscriber import Subscriber
from reelmill.service import PeriodicService
from reelmill.store.events import Mark, Reading, Subject, newest_step, read_on, read_steps, read_subjects, writers_now
from reelmill.store.protocol import Tx

ROUND_SECONDS = 0.25
HEARTBEAT_SECONDS = 15.0
MOST_SUBSCRIBERS = 1000
_IDLE_SECONDS = 3600.0
_START_SECONDS = 15.0
_SETTLE_SECONDS = 0.02
_AT_ONCE = 2000
_MOST_ATTEMPTS = 20_000
_MOST_LINES = 2000
"""Of how many attempts progress waits for the next round, and how often lines do; more are lost."""
_LIVE_KINDS = frozenset({"progress", "log"})


class _Heard(NamedTuple):
    """What workers said since the last round: the newest progress of each attempt, and lines in their order."""

    progress: dict[AttemptKey, tuple[str, Progress]]
    lines: deque[tuple[str, LogLines]]


def _nothing() -> _Heard:
    return _Heard({}, deque(maxlen=_MOST_LINES))


class News(PeriodicService):
    """Reads what happened as long as somebody listens, and gives everybody what they want of it."""

    def __init__(self, farm: Farm) -> None:
        super().__init__(ROUND_SECONDS)
        self._farm = farm
        self.listeners = 0
        """How many streams are open."""
        self.dropped = 0
        """How many were read too slowly."""
        self._following: defaultdict[Wanted, set[Subscriber]] = defaultdict(set)
        self._mark: Mark | None = None
        """Up to where everything was given; None while nobody listens."""
        self._round = asyncio.Event()
        self._heard = _nothing()
        self._hearing: Subscription | None = None
        self._is_stopped = False

    @property
    def hears_workers(self) -> bool:
        """Whether somebody listens to what only workers know."""
        return self._hearing is not None

    def patience(self) -> float:
        """A round is for those who listen."""
        return ROUND_SECONDS if self.listeners else _IDLE_SECONDS

    async def start(self) -> None:
        self._is_stopped = False
        await super().start()

    async def stop(self) -> None:
        """Every stream ends."""
        self._is_stopped = True
        for subscribers in self._following.values():
            for subscriber in subscribers:
                subscriber.end()
        self._end_round()
        await super().stop()
        await self._listen_to_workers(False)

    async def open(self, wanted: Wanted, since: int | None) -> Listening:
        """Listen to what is wanted, behind the event of id ``since`` or from now on.

        Unavailable when the store does not answer, or too many listen.
        """
        if self.listeners >= MOST_SUBSCRIBERS:
            raise Unavailable(f"{MOST_SUBSCRIBERS:,} streams are open at this master; close some, or ask another one")
        self.listeners += 1
        try:
            behind = await self._begin()
            if since is not None:  # one that was never given, as of another database, is no reason to wait for it
                behind = min(since, (await self._farm.store.read(newest_step)).id)
        except BaseException:
            self.listeners -= 1
            raise
        return Listening(self, wanted, behind)

    async def _begin(self) -> int:
        """The id behind which everything is given, once there is one."""
        self.wake()
        try:
            async with asyncio.timeout(_START_SECONDS):
                while self._mark is None or self._is_stopped:
                    if self._is_stopped:
                        raise Unavailable("this master is about to stop; ask another one, or again")
                    await self._round.wait()
        except TimeoutError as error:
            raise Unavailable("the history of the jobs cannot be read now; ask again") from error
        return self._mark.id

    async def catch_up(self, subscriber: Subscriber, behind: int) -> AsyncGenerator[bytes, None]:
        """What is wanted behind that id, until the subscriber hears by itself of all that comes."""
        while (mark := self._mark) is not None and mark.id != behind and not self._is_stopped:
            if mark.id < behind:  # another master was quicker
                await self._round.wait()
                continue
            replay = partial(_replay, wanted=subscriber.wanted, behind=behind, until=mark.id)
            text, behind = await self._farm.store.read(replay)
            yield text or b": reading on\n\n"
        # Nothing is waited for between the last look at the mark and this: no event falls in between.
        self._following[subscriber.wanted].add(subscriber)
        if self._is_stopped:
            subscriber.end()
        yield self.position()

    def position(self) -> bytes:
        """Behind which event whoever has read everything may come again."""
        return b"" if self._mark is None else b"id: %d\n\n" % self._mark.id

    def leave(self, subscriber: Subscriber) -> None:
        """The subscriber hears no more."""
        self.listeners -= 1
        following = self._following[subscriber.wanted]
        following.discard(subscriber)
        if not following:
            del self._following[subscriber.wanted]
        self.wake()  # without anybody it would sleep on, and go on hearing workers

    async def run_once(self) -> int:
        """Give everybody what has happened since the last round; how many events there were."""
        heard, self._heard = self._heard, _nothing()
        given = 0
        try:
            await self._listen_to_workers(any(_LIVE_KINDS & wanted.kinds for wanted in self._following))
            if not self.listeners:
                self._mark = None
                return 0
            mark = self._mark = self._mark or await self._find_beginning()
            more = True
            while more:
                read = partial(_read, mark=mark, heard=heard, now=self._farm.clock.now())
                events, reading = await self._farm.store.read(read)
                heard = _nothing()
                for wanted, subscribers in self._following.items():
                    text = wanted.choose(events)
                    for subscriber in subscribers:
                        self.dropped += not subscriber.give(text)
                mark = self._mark = reading.mark
                more = reading.more
                given += len(events)
            return given
        finally:
            self._end_round()

    def _end_round(self) -> None:
        self._round.set()
        self._round = asyncio.Event()

    async def _find_beginning(self) -> Mark:
        mark = await self._farm.store.read(newest_step)
        while mark.writers:  # what they wrote may be older than what can be seen
            await asyncio.sleep(_SETTLE_SECONDS)
            mark = mark._replace(writers=mark.writers & await self._farm.store.read(writers_now))
        return Mark(mark.id)

    async def _listen_to_workers(self, wanted: bool) -> None:
        if wanted and self._hearing is None:
            self._hearing = await LIVE.listen(self._farm.bus, self._hear)
        elif not wanted and self._hearing is not None:
            await self._hearing.close()
            self._hearing = None

    async def _hear(self, live: Live) -> None:
        for said in live.progress:
            if len(self._heard.progress) < _MOST_ATTEMPTS or said.key in self._heard.progress:
                self._heard.progress[said.key] = (live.node_id, said)
        self._heard.lines.extend((live.node_id, said) for said in live.lines)


class Listening:
    """One stream of events, open until it is closed."""

    def __init__(self, news: News, wanted: Wanted, behind: int) -> None:
        self._news = news
        self._behind = behind
        self._subscriber = Subscriber(wanted)
        self._is_open = True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The stream, in pieces of whole events; a comment now and then when nothing happens."""
        async for piece in self._news.catch_up(self._subscriber, self._behind):
            yield piece
        while (piece := await self._subscriber.take(HEARTBEAT_SECONDS)) is not None:
            # Everything up to this position was taken: nothing was waited for since.
            yield piece or b": still here\n" + self._news.position()

    def close(self) -> None:
        """Nobody reads it any more."""
        if self._is_open:
            self._is_open = False
            self._news.leave(self._subscriber)


def _replay(tx: Tx, *, wanted: Wanted, behind: int, until: int) -> tuple[bytes, int]:
    steps = read_steps(tx, behind, until, _AT_ONCE)
    return wanted.choose(map(tell_step, steps)), steps[-1].id if len(steps) == _AT_ONCE else until


def _read(tx: Tx, *, mark: Mark, heard: _Heard, now: float) -> tuple[list[Happening], Reading]:
    """The next steps, and what was heard of attempts that still count, by the same snapshot."""
    reading = read_on(tx, mark, _AT_ONCE)
    events = [tell_step(step) for step in reading.steps]
    keys = [*heard.progress, *(said.key for _, said in heard.lines)]
    jobs = read_subjects(tx, sorted({key.job_id for key in keys})) if keys else {}
    for node_id, said in heard.progress.values():
        job = jobs.get(said.key.job_id)
        if job is not None and _is_holder(job, said.key, node_id) and job.status == "running":
            events.append(tell_progress(job, said, now))
    for node_id, said in heard.lines:
        job = jobs.get(said.key.job_id)
        if job is not None and _is_holder(job, said.key, node_id):
            events.append(tell_lines(job, said, now))
    return events, reading


def _is_holder(job: Subject, key: AttemptKey, node_id: str) -> bool:
    """Also of a job that ended there. One that waits again is nobody's: its last lines are in the attempt's log."""
    return job.attempt == key.attempt and job.node_id == node_id
