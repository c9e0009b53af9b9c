"""A whole launch: look at the master, submit, keep the results, and watch to the end when asked to."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec

from reelmill.errors import Conflict, NotFound, ReelmillError, Unavailable
from reelmill.launcher.answers import Health, JobStates
from reelmill.launcher.client import MasterClient, path_of
from reelmill.launcher.figures import LaunchFigures, SubmitFigures, read_figures
from reelmill.launcher.hindrance import find_hindrance
from reelmill.launcher.ledger import Ledger, LedgerHeader, ledger_path, move_unfinished
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.progress import Display
from reelmill.launcher.results import check_output, job_entries, write_results
from reelmill.launcher.sample import Sample
from reelmill.launcher.submit import Submission, Submitter
from reelmill.launcher.summary import describe_options
from reelmill.launcher.threshold import EXIT_THRESHOLD_MISSED, Verdict, judge
from reelmill.launcher.watch import LaunchEnd, watch_launch

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130
_RETRIES_AT_ONCE = 16
_RETRIED = "id,sequence_number,scenario,status,error,result"


class LaunchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a launch went. ``end`` is there when it was watched to its end; ``failure`` when it was given up.

    ``ledger`` is the one to go on with; ``bad_sample`` when the other jobs were not sent because of it.
    """

    options: LaunchOptions
    submission: Submission
    header: LedgerHeader
    ledger: Path | None = None
    end: LaunchEnd | None = None
    figures: LaunchFigures | None = None
    verdicts: tuple[Verdict, ...] = ()
    bad_sample: bool = False
    interrupted: bool = False
    failure: ReelmillError | None = None

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.failure is not None:
            return EXIT_ERROR
        if self.verdicts and not all(verdict.passed for verdict in self.verdicts):
            return EXIT_THRESHOLD_MISSED
        if self.verdicts:  # it is they that say what is good enough of those that ran
            return EXIT_SOME_FAILED if self.submission.rejected else EXIT_OK
        incomplete = self.end is not None and not self.end.all_completed
        some_failed = self.submission.rejected or incomplete or self.bad_sample
        return EXIT_SOME_FAILED if some_failed else EXIT_OK


async def run_launch(
    options: LaunchOptions, client: MasterClient, display: Display, stop: asyncio.Event
) -> LaunchOutcome:
    """Launch, or go on with a launch; raises only when nothing was submitted.

    ``stop`` ends the submit behind the batch in flight, or the watching; the results file then holds every job that
    was sent. Cancelling this coroutine ends it at once; then the ledger does, and the results wait for a ``resume``.
    """
    keeps = options.output is not None and check_output(options.output)
    health = await check_health(client)
    ledger = _open_ledger(options, client, health, display, options.output if keeps else None)
    try:
        for line in describe_options(options, client.url, health):
            display.say(line)
        return await _Launch(options, client, ledger, display, stop).run()
    finally:
        ledger.close()


async def check_health(client: MasterClient) -> Health:
    """The health of a farm that can take jobs; Unavailable with the reasons, or MasterUnreachable."""
    health = await client.health()
    if health.status not in ("healthy", "degraded"):  # a degraded master takes jobs, and says what is wrong with it
        raise Unavailable(f"the master at {client.url} is {health.status}: {'; '.join(health.reasons) or 'no reason'}")
    return health


def _open_ledger(
    options: LaunchOptions, client: MasterClient, health: Health, display: Display, output: Path | None
) -> Ledger:
    path = ledger_path(output) if output is not None else None
    if options.resume and path is not None:
        ledger = Ledger.open(path)
        if ledger.header.farm_id not in (None, health.farm_id):  # there all of it would be new
            ledger.close()
            farm = f"the farm at {client.url} is not the one that this launch was sent to, at {ledger.header.master}"
            raise NotFound(f"{farm}; say with --master where that one is now, or begin a new launch")
        return ledger
    if output is not None and (kept := move_unfinished(output)) is not None:
        display.say(
            f"an unfinished launch was here; go on with it: reelmill launch --resume --output {kept}", "warning"
        )
    header = LedgerHeader(
        launch_id=options.launch_id,
        name=options.name,
        plan=options.plan,
        master=client.url,
        farm_id=health.farm_id,
        command=list(options.command),
    )
    return Ledger.create(path, header)


class _Launch:
    """One run of a launch."""

    def __init__(
        self, options: LaunchOptions, client: MasterClient, ledger: Ledger, display: Display, stop: asyncio.Event
    ) -> None:
        self._options = options
        self._client = client
        self._ledger = ledger
        self._display = display
        self._stop = stop
        self._plan = ledger.header.plan
        self._failure: ReelmillError | None = None
        self._bad_sample = False

    async def run(self) -> LaunchOutcome:
        hindrance = await find_hindrance(self._client, self._plan)
        if hindrance is not None:
            self._display.say(f"{hindrance.share(self._plan.count)} will wait: {hindrance.reason}", "warning")
        if self._options.retry_failed:
            await self._retry_failed()
        submitter = Submitter(self._options, self._client, self._ledger, self._display, self._stop)
        is_cut_short = False
        try:
            await self._send(submitter)
        except asyncio.CancelledError:
            self._stop.set()
            is_cut_short = True
        self._failure = self._failure or submitter.submission.failure
        writing = asyncio.ensure_future(self._write(submitter, is_cut_short))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._stop.set()
            await writing
        end = await self._watch() if self._should_watch(submitter.submission) else None
        figures = await self._read_figures(submitter.submission) if end is not None else None
        return LaunchOutcome(
            options=self._options,
            submission=submitter.submission,
            header=self._ledger.header,
            ledger=self._ledger.path,
            end=end,
            figures=figures,
            verdicts=tuple(judge(self._options.thresholds, figures)) if figures is not None else (),
            bad_sample=self._bad_sample,
            interrupted=self._stop.is_set(),
            failure=self._failure,
        )

    async def _retry_failed(self) -> None:
        """Let what was refused be asked for again, and what failed be tried again."""
        refused = self._ledger.forget_refused()
        failed = await _retry_jobs(self._client, self._ledger.header.launch_id, self._stop)
        self._display.say(f"{refused:,} jobs that were refused are sent again, {failed:,} that failed are tried again")

    async def _send(self, submitter: Submitter) -> None:
        if 0 < self._options.sample < self._plan.count:
            await submitter.submit(self._options.sample)
            if self._stop.is_set() or submitter.submission.failure is not None:
                return
            await self._judge_sample(submitter.submission)
            if self._bad_sample or self._failure is not None or self._stop.is_set():
                return
        await submitter.submit(self._plan.count)

    async def _judge_sample(self, submission: Submission) -> None:
        self._display.say(f"the first {self._options.sample:,} jobs are the sample; the others wait for its end")
        end = await self._watch() if submission.accepted else None
        is_known = end is not None or not submission.accepted
        self._bad_sample = is_known and (submission.rejected > 0 or end is None or not end.all_completed)

    def _should_watch(self, submission: Submission) -> bool:
        is_over = self._stop.is_set() or self._failure is not None or self._bad_sample
        return self._options.wait and submission.accepted > 0 and not is_over

    async def _watch(self) -> LaunchEnd | None:
        """How the launch ended; None when it was left, or when watching failed."""
        launch_id = self._ledger.header.launch_id
        try:
            return await watch_launch(self._client, launch_id, self._display, self._stop)
        except asyncio.CancelledError:
            self._stop.set()
        except ReelmillError as error:
            self._failure = error
        return None

    async def _read_figures(self, submission: Submission) -> LaunchFigures | None:
        """What thresholds and reports are about; None when nobody asked, or when it could not be read."""
        if not self._options.thresholds and self._options.report is None:
            return None
        submit = SubmitFigures(latency=Sample(submission.latencies), rejected=submission.rejected)
        try:
            return await read_figures(self._client, self._ledger.header.launch_id, self._display, submit)
        except asyncio.CancelledError:
            self._stop.set()
        except ReelmillError as error:
            self._failure = error
        return None

    async def _write(self, submitter: Submitter, is_cut_short: bool) -> None:
        """The results, from the ledger; one in which nothing was ever written down goes."""
        output = self._options.output
        try:
            if not submitter.submission.submitted and not self._options.resume:
                self._ledger.remove()
                return
            if output is not None and not (is_cut_short and self._ledger.path is not None):
                await asyncio.to_thread(write_results, output, job_entries(self._ledger))
                if submitter.is_done:
                    self._ledger.finish()
        except ReelmillError as error:
            self._failure = self._failure or error


async def _retry_jobs(client: MasterClient, launch_id: str, stop: asyncio.Event) -> int:
    """Give each failed or timed out job of the launch all its tries again, until ``stop``; how many there were."""
    wanted: dict[str, str | int] = {
        "launch": launch_id,
        "status": "failed,timed_out",
        "fields": _RETRIED,
        "limit": 1000,
    }
    count = 0
    while not stop.is_set():
        page = await client.get("/jobs", JobStates, wanted, patience=30)
        for at in range(0, len(page.jobs), _RETRIES_AT_ONCE):
            if not stop.is_set():
                some = page.jobs[at : at + _RETRIES_AT_ONCE]
                await asyncio.gather(*(_retry_job(client, job.id) for job in some))
                count += len(some)
        if page.next is None:
            break
        wanted["cursor"] = page.next
    return count


async def _retry_job(client: MasterClient, job_id: str) -> None:
    with contextlib.suppress(Conflict):  # somebody else has
        await client.post(path_of("jobs", job_id, "retry"))
