"""A launch from the command line: it can be stopped, says how it went, and ends with the code that this deserves."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import typer

from reelmill.cli.interrupt import ended_by_ctrl_c

if TYPE_CHECKING:
    from pathlib import Path

    from reelmill.launcher.figures import LaunchFigures
    from reelmill.launcher.options import LaunchOptions
    from reelmill.launcher.progress import Display
    from reelmill.launcher.run import LaunchOutcome


def run_until_stopped(options: LaunchOptions, url: str, display: Display) -> LaunchOutcome:
    """Launch. The first SIGINT, SIGTERM or SIGHUP ends it behind the request in flight, a second one at once."""
    with ended_by_ctrl_c():
        import asyncio
        import signal

        from reelmill.launcher.client import MasterClient
        from reelmill.launcher.run import run_launch

    async def main() -> LaunchOutcome:
        stop, second = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set() and not second.is_set():
                second.set()  # a third one changes nothing: what is known must be written down
                task.cancel()
            elif not stop.is_set():
                stop.set()
                display.say("stopping after the request in flight; Ctrl-C again stops at once", "warning")

        async with MasterClient(
            url, on_retry=lambda reason: display.say(f"{reason} (trying again)", "warning")
        ) as client:
            task = asyncio.create_task(run_launch(options, client, display, stop))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup reelmill launch` outlives its terminal
                    loop.add_signal_handler(number, on_signal)
            return await task

    return asyncio.run(main())


def show_outcome(outcome: LaunchOutcome, display: Display) -> None:
    """The summary to stdout, unless the results went there; words to stderr."""
    from reelmill.launcher.plain_text import showable
    from reelmill.launcher.summary import describe_end, describe_submission
    from reelmill.launcher.threshold import describe_verdicts
    from reelmill.launcher.whole_file import STDOUT

    options, submission = outcome.options, outcome.submission
    lines = describe_submission(options, submission)
    if outcome.end is not None:
        lines += ["", *describe_end(outcome.end)]
    if outcome.verdicts:
        lines += ["", *describe_verdicts(outcome.verdicts)]
    if options.output == STDOUT:
        for line in lines:
            display.say(line)
    else:
        sys.stdout.write(showable("\n".join(lines)) + "\n")
        sys.stdout.flush()
    if outcome.figures is not None and options.report is not None:
        _write_report(outcome, outcome.figures, options.report, display)
    if outcome.bad_sample:
        display.say("the sample did not complete, so the other jobs were not sent", "warning")
    if outcome.interrupted:
        display.say(f"interrupted: {submission.submitted:,} of {options.plan.count:,} jobs were submitted")


def _write_report(outcome: LaunchOutcome, figures: LaunchFigures, path: Path, display: Display) -> None:
    from datetime import UTC, datetime

    from reelmill import __version__
    from reelmill.cli.launches import encode_as, report_format
    from reelmill.launcher.repeat import repeat_command
    from reelmill.launcher.report import Subject, make_report
    from reelmill.launcher.whole_file import WholeFile

    header = outcome.header
    subject = Subject(
        launch_id=header.launch_id,
        name=header.name,
        created_at=datetime.fromtimestamp(header.created_at, UTC),
        command=repeat_command(header.command, header.plan.seed),
    )
    made = make_report(subject, figures, outcome.options.thresholds, version=__version__, now=datetime.now(UTC))
    with WholeFile(path, "--report") as file:
        file.write(encode_as(made, report_format(path)))
    display.say(f"wrote {path}")


def end_launch(outcome: LaunchOutcome) -> None:
    """Return when the launch went well; leave the command as it deserves when not."""
    from reelmill.errors import ReelmillError

    if outcome.failure is not None and not outcome.interrupted:
        done = f"{outcome.submission.submitted:,} of {outcome.options.plan.count:,} jobs"
        raise ReelmillError(f"gave up after {done}: {outcome.failure}") from outcome.failure
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def say_how_to_go_on(outcome: LaunchOutcome, display: Display) -> None:
    from reelmill.launcher.progress import format_count

    options, submission = outcome.options, outcome.submission
    is_stopped = outcome.interrupted or outcome.failure is not None or outcome.bad_sample
    if is_stopped and submission.accepted:
        accepted = format_count(submission.accepted, "accepted job")
        goes = "goes" if submission.accepted == 1 else "go"
        display.say(f"{accepted} {goes} on; to cancel: reelmill jobs cancel --launch {options.launch_id}")
        if options.wait:
            display.say(f"to come back: reelmill launches watch {options.launch_id}")
    left = options.plan.count - submission.accepted - submission.rejected
    if is_stopped and outcome.ledger is not None and (left or outcome.failure is not None):
        again = shlex.join(["--resume", "--output", str(options.output), *options.delivery])
        display.say(f"still to be sent: {format_count(left, 'job')}; go on with: reelmill launch {again}")
