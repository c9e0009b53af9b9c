"""Submitting a plan: each job exactly once, whatever the network does, and no faster than the master takes them."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from reelmill.domain.retry import RetryPolicy
from reelmill.errors import ReelmillError, Unavailable
from reelmill.launcher.answers import BatchAnswer, ItemAnswer
from reelmill.launcher.arrival import arrival_times
from reelmill.launcher.batch import PlannedJob, Queue, encode_batch, key_jobs
from reelmill.launcher.client import MasterClient, TryAgain, pause
from reelmill.launcher.ledger import Ledger, LedgerEntry
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.plan import plan_jobs
from reelmill.launcher.progress import Bar, Display
from reelmill.launcher.window import Window

UNHEARD = "no answer was heard; the job may have been accepted"
_BACKOFF = RetryPolicy(base_seconds=0.2, cap_seconds=5.0)
_TELL_EVERY = 5.0
_SHORT_BREATH = 1.0


class Submission(msgspec.Struct):
    """What came of a launch so far, with what an earlier run of it had done.

    ``latencies`` are seconds per request, with its retries; ``seconds`` how long this run sends; ``lateness`` by how
    many seconds the latest job of an open-loop launch missed its time.
    """

    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    before: int = 0
    seconds: float = 0.0
    latencies: array[float] = msgspec.field(default_factory=lambda: array("d"))
    retries: int = 0
    lateness: float = 0.0
    first_error: str | None = None
    failure: ReelmillError | None = None

    @property
    def submitted(self) -> int:
        return self.accepted + self.rejected + self.unknown


class _Piece(NamedTuple):
    """Jobs that travel together, not before that moment (on the loop's clock).

    ``maybe`` when a request with them was sent and no answer to it was heard.
    """

    jobs: list[PlannedJob]
    maybe: bool = False
    not_before: float = 0.0


class Submitter:
    """Sends the jobs that the ledger does not know yet, and keeps count in ``submission``.

    An error that ends the launch is kept in ``submission.failure``: what was submitted before it counts.
    """

    def __init__(
        self, options: LaunchOptions, client: MasterClient, ledger: Ledger, display: Display, stop: asyncio.Event
    ) -> None:
        self._options = options
        self._client = client
        self._ledger = ledger
        self._display = display
        self._stop = stop
        self._launch = ledger.header.launch_id
        plan = ledger.header.plan
        self._queue = Queue(key_jobs(plan_jobs(plan), self._launch), ledger.settled())
        self._times = arrival_times(options.arrival, plan.seed) if options.arrival is not None else None
        self._dues = deque[float]()
        self._window = Window(options.batch_size, most_batch=options.most_batch, most_at_once=options.concurrency)
        self._rng = random.Random()
        self._unsaved: list[LedgerEntry] = []
        self._saving: asyncio.Future[None] | None = None
        self._began = 0.0
        self._heard_at = 0.0
        self._told_at: float | None = None
        totals = ledger.totals()
        self.submission = Submission(
            accepted=totals["accepted"], rejected=totals["rejected"], before=totals["accepted"] + totals["rejected"]
        )

    @property
    def is_done(self) -> bool:
        """Whether every job of the plan has its answer."""
        return not self._queue and not self.submission.unknown and self.submission.failure is None

    async def submit(self, end: int) -> None:
        """Send every job before the place ``end``. What is under way when ``stop`` is set is finished, but not retried.

        Cancelled, it ends at once; in each case the ledger is right when it returns.
        """
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._began = loop.time() - self.submission.seconds  # what was waited for in between is no time of sending
        under_way: set[asyncio.Task[None]] = set()
        try:
            with self._display.bar("submitting", max(end - self.submission.before, 0)) as bar:
                async for batch in self._batches(end, under_way):
                    under_way.add(asyncio.create_task(self._deliver(batch, bar)))
                while under_way:
                    await self._reap(under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            self.submission.seconds = loop.time() - self._began
            await self._save_rest()

    async def _batches(self, end: int, under_way: set[asyncio.Task[None]]) -> AsyncIterator[list[PlannedJob]]:
        """Each when its time has come and a request may be sent."""
        is_first = True
        while self._queue.has_before(end):
            while len(under_way) >= self._window.at_once:
                await self._reap(under_way)
            await self._wait_for_time(is_first)
            if self._is_over:
                return
            is_first = False
            yield self._take(end)

    @property
    def _is_over(self) -> bool:
        return self._stop.is_set() or self.submission.failure is not None

    async def _wait_for_time(self, is_first: bool) -> None:
        if self._times is not None:
            if not self._dues:
                self._dues.append(next(self._times))
            await pause(self._began + self._dues[0] - asyncio.get_running_loop().time(), self._stop)
        elif self._options.delay and not is_first:
            await pause(self._options.delay, self._stop)

    def _take(self, end: int) -> list[PlannedJob]:
        if self._times is None:
            return self._queue.take(self._window.batch, end)
        since = asyncio.get_running_loop().time() - self._began
        self.submission.lateness = max(self.submission.lateness, since - self._dues[0])
        while self._dues[-1] <= since and len(self._dues) <= self._window.batch:
            self._dues.append(next(self._times))
        are_due = sum(due <= since for due in self._dues)
        batch = self._queue.take(max(1, min(are_due, self._window.batch)), end)
        for _ in batch:
            self._dues.popleft()
        return batch

    async def _reap(self, under_way: set[asyncio.Task[None]]) -> None:
        done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        under_way -= done
        for task in done:
            task.result()

    # One batch

    async def _deliver(self, batch: list[PlannedJob], bar: Bar) -> None:
        """Until each of its jobs has an answer, in smaller pieces when the master does not take that many."""
        began = asyncio.get_running_loop().time()
        pieces = deque([_Piece(batch)])
        tries, quiet_until = 0, 0.0
        try:
            while pieces:
                piece = min(pieces, key=lambda one: one.not_before)
                until = max(piece.not_before, quiet_until)
                await pause(until - asyncio.get_running_loop().time(), self._stop)
                if self._stop.is_set() and tries:
                    return
                pieces.remove(piece)
                pieces.appendleft(piece._replace(maybe=True))  # cancelled while it is on its way, nobody knows
                try:
                    answer = await self._client.submit(self._encode(piece.jobs))
                except TryAgain as again:
                    tries += 1
                    pieces.popleft()
                    split = self._split(piece, again, self._breath(again, tries))
                    if not again.is_one_queue:  # it is the master that wants to be left alone
                        quiet_until = split[0].not_before
                    pieces.extend(split)
                    if not self._may_go_on(again):
                        return
                    continue
                except ReelmillError as error:  # nothing of it was kept
                    pieces[0] = piece
                    self._fail(error)
                    return
                answers = _match(answer, piece.jobs)
                pieces.popleft()
                tries = 0
                self._note_answers(piece.jobs, answers, asyncio.get_running_loop().time() - began)
                bar.show(self.submission.submitted - self.submission.before, self._describe())
                began = asyncio.get_running_loop().time()
                await self._save()
        except ReelmillError as error:  # the ledger cannot be written
            self._fail(error)
        finally:
            self._note_unheard(pieces)

    def _encode(self, jobs: list[PlannedJob]) -> bytes:
        return encode_batch(self._launch, self._ledger.header.name, jobs)

    def _split(self, piece: _Piece, again: TryAgain, breath: float) -> list[_Piece]:
        if self._window.note_trouble():
            self._tell(f"{again.reason}; slowing down to {self._window}")
        else:
            self._tell(f"{again.reason}; trying again")
        self.submission.retries += 1
        size, maybe = self._window.batch, piece.maybe or again.may_have_arrived
        when = asyncio.get_running_loop().time() + breath
        groups = [piece.jobs]
        if again.is_one_queue and len(queues := dict.fromkeys(job.payload.queue for job in piece.jobs)) > 1:
            # It may be one of them that is full: the others need not wait for it.
            groups = [[job for job in piece.jobs if job.payload.queue == queue] for queue in queues]
            when = asyncio.get_running_loop().time() + min(breath, _SHORT_BREATH)
        return [_Piece(jobs[at : at + size], maybe, when) for jobs in groups for at in range(0, len(jobs), size)]

    def _may_go_on(self, again: TryAgain) -> bool:
        """A master that is full says so in good order: there will be room when its farm gets on."""
        now = asyncio.get_running_loop().time()
        if again.is_full:
            self._heard_at = now
        if again.is_hopeless:
            self._fail(again.reason)
        if now - self._heard_at > self._options.patience:
            self._fail(again.reason)
        return not self._is_over

    def _breath(self, again: TryAgain, tries: int) -> float:
        return (again.after or 0.0) + max(0.05, _BACKOFF.backoff(tries, self._rng))

    def _fail(self, error: ReelmillError) -> None:
        self.submission.failure = self.submission.failure or error

    def _tell(self, line: str) -> None:
        """On a bad line, not for every request."""
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now - self._told_at > _TELL_EVERY:
            self._told_at = now
            self._display.say(line, "warning")

    def _describe(self) -> str:
        bad = self.submission.rejected + self.submission.unknown
        return f"{bad:,} rejected" if bad else ""

    # What came of it

    def _note_answers(self, jobs: list[PlannedJob], answers: list[ItemAnswer], seconds: float) -> None:
        submission = self.submission
        submission.latencies.append(seconds)
        self._heard_at = asyncio.get_running_loop().time()
        if self._window.note_answer(len(jobs), seconds):
            self._tell(f"the master took {seconds:.1f} s for {len(jobs):,} jobs; slowing down to {self._window}")
        for job, answer in zip(jobs, answers, strict=True):
            if answer.job is not None:
                submission.accepted += 1
            else:
                submission.rejected += 1
                submission.first_error = submission.first_error or (answer.problem.detail if answer.problem else None)
            self._unsaved.append(_entry(job, answer))
        first, last = jobs[0].index + 1, jobs[-1].index + 1
        self._display.say(f"jobs {first:,} to {last:,} answered in {seconds * 1000:.0f} ms; {self._window}", "debug")

    def _note_unheard(self, pieces: deque[_Piece]) -> None:
        """What never left here is as if it had not been tried; the rest may have arrived."""
        for piece in pieces:
            if piece.maybe:
                self.submission.unknown += len(piece.jobs)
                self._unsaved += [LedgerEntry(job.index, "unknown", error=UNHEARD) for job in piece.jobs]

    async def _save(self) -> None:
        """Return when all that is known is in the ledger; those who come meanwhile are written together."""
        while self._saving is not None:
            await asyncio.wait({self._saving})
        if self._unsaved:
            entries, self._unsaved = self._unsaved, []
            self._saving = asyncio.ensure_future(asyncio.to_thread(self._ledger.record, entries))
            try:
                await asyncio.shield(self._saving)
            except ReelmillError:
                self._unsaved = entries + self._unsaved  # maybe there is room for them at the end
                raise
            finally:
                if self._saving.done():
                    self._saving = None

    async def _save_rest(self) -> None:
        try:
            if self._saving is not None:  # its waiter was cancelled
                saving, self._saving = self._saving, None
                await saving
            await self._save()
        except ReelmillError as error:
            self._fail(error)


def _match(answer: BatchAnswer, jobs: list[PlannedJob]) -> list[ItemAnswer]:
    if [item.index for item in answer.results] != list(range(len(jobs))):
        raise Unavailable(f"the master answered {len(answer.results)} of {len(jobs)} jobs of a batch")
    return answer.results


def _entry(job: PlannedJob, answer: ItemAnswer) -> LedgerEntry:
    if answer.job is not None:
        return LedgerEntry(job.index, "accepted", answer.job.id, answer.job.sequence_number, answer.job.status)
    problem = answer.problem
    if problem is None:
        return LedgerEntry(job.index, "rejected", error="the master gave no reason")
    return LedgerEntry(job.index, "rejected", error=problem.detail, error_code=problem.code, field=problem.field)
