"""A whole launch: look at the master, submit, keep the results, and watch to the end when asked to."""

from __future__ import annotations

import asyncio

import msgspec

from reelmill.errors import ReelmillError, Unavailable
from reelmill.launcher.answers import Health
from reelmill.launcher.client import MasterClient
from reelmill.launcher.hindrance import find_hindrance
from reelmill.launcher.options import LaunchOptions
from reelmill.launcher.progress import Display
from reelmill.launcher.results import ResultsFile
from reelmill.launcher.submit import Submission, submit_launch
from reelmill.launcher.summary import describe_options
from reelmill.launcher.watch import LaunchEnd, watch_launch

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130


class LaunchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a launch went. ``end`` is there when it was watched to its end; ``failure`` when it was given up."""

    options: LaunchOptions
    submission: Submission
    end: LaunchEnd | None = None
    interrupted: bool = False
    failure: ReelmillError | None = None

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.failure is not None:
            return EXIT_ERROR
        incomplete = self.end is not None and not self.end.all_completed
        return EXIT_SOME_FAILED if self.submission.rejected or incomplete else EXIT_OK


async def run_launch(
    options: LaunchOptions, client: MasterClient, display: Display, stop: asyncio.Event
) -> LaunchOutcome:
    """Launch; raises only when nothing was submitted.

    ``stop`` ends the submit behind the batch in flight, or the watching. Cancelling this coroutine ends it at once.
    In both cases the results file holds every job that was sent.
    """
    results = ResultsFile(options.output) if options.output is not None else None
    try:
        health = await check_health(client)
        for line in describe_options(options, client.url, health):
            display.say(line)
        hindrance = await find_hindrance(client, options.plan)
        if hindrance is not None:
            display.say(f"{hindrance.share(options.plan.count)} will wait: {hindrance.reason}", "warning")
        submission = Submission()
        try:
            await submit_launch(options, client, results, display, stop, submission)
        except asyncio.CancelledError:
            stop.set()
        failure = submission.failure
        if results is not None:
            try:
                results.commit()
            except ReelmillError as error:
                failure = failure or error
    finally:
        if results is not None:
            results.discard()
    interrupted = stop.is_set()
    end = None
    if options.wait and submission.accepted and not interrupted and failure is None:
        try:
            end = await watch_launch(client, options.launch_id, display, stop, plan=options.plan)
            interrupted = end is None
        except asyncio.CancelledError:
            interrupted = True
        except ReelmillError as error:
            failure = error
    return LaunchOutcome(options=options, submission=submission, end=end, interrupted=interrupted, failure=failure)


async def check_health(client: MasterClient) -> Health:
    """The health of a farm that can take jobs; Unavailable with the reasons, or MasterUnreachable."""
    health = await client.health()
    if health.status != "healthy":
        raise Unavailable(f"the master at {client.url} is {health.status}: {'; '.join(health.reasons) or 'no reason'}")
    return health
