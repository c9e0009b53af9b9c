"""`reelmill launch`: submit many jobs at once, and watch them when asked to."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from reelmill.cli.master_client import MasterOption, master_url

if TYPE_CHECKING:
    from reelmill.launcher.options import LaunchOptions
    from reelmill.launcher.plan import LaunchPlan
    from reelmill.launcher.progress import Display
    from reelmill.launcher.run import LaunchOutcome

_SHOWN_PAYLOADS = 3

Count = Annotated[
    str | None, typer.Option(metavar="N", help="How many jobs; 10k works.", show_default="1000, or 1 with --input")
]
ScenarioName = Annotated[str, typer.Option(metavar="NAME", help="A scenario, or random.")]
BatchSize = Annotated[str, typer.Option(metavar="N", help="Jobs per request, at most 10000.")]
Delay = Annotated[str, typer.Option(metavar="MS", help="Milliseconds between batches.")]
PriorityName = Annotated[str, typer.Option(metavar="NAME", help="high, medium, low or mixed.")]
QueueName = Annotated[str, typer.Option(metavar="NAME", help="live, default, batch or mixed.")]
EngineName = Annotated[str, typer.Option(metavar="NAME", help="auto, ffmpeg or gstreamer.")]
Output = Annotated[Path, typer.Option(metavar="FILE", help="Where to write the results, as a JSON array.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted; submit nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what becomes of each batch.")]
Duration = Annotated[
    str | None,
    typer.Option(help="Length of each job: 2, 1.5s, 2m, or a range 30-300.", show_default="30-300; all of --input"),
]
Bitrate = Annotated[
    str | None, typer.Option(help="Such as 5M, or a range 4M-10M.", show_default="the scenario's usual range")
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="PATH", help="Transcode this file instead of a test picture.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until every job has ended.")]
Seed = Annotated[
    str | None, typer.Option(metavar="N", help="The same seed gives the same jobs.", show_default="random")
]
Name = Annotated[str | None, typer.Option(help="A name for this launch.")]


def launch(
    count: Count = None,
    master: MasterOption = None,
    scenario: ScenarioName = "random",
    batch_size: BatchSize = "50",
    delay: Delay = "100",
    priority: PriorityName = "mixed",
    queue: QueueName = "mixed",
    engine: EngineName = "auto",
    output: Output = Path("job_launch_results.json"),
    dry_run: DryRun = False,
    verbose: Verbose = False,
    duration: Duration = None,
    bitrate: Bitrate = None,
    input_path: Input = None,
    wait: Wait = False,
    seed: Seed = None,
    name: Name = None,
) -> None:
    """Launch many transcodes: submit them safely, in batches, and keep what became of each.

    Everything is checked before anything is sent. Ctrl-C finishes the batch in flight; a second one stops at once.
    """
    from reelmill.launcher.options import MAX_BATCH, MAX_DELAY_MS, LaunchOptions, read_count, read_name, read_plan
    from reelmill.launcher.progress import make_display

    plan = read_plan(
        count=count,
        scenario=scenario,
        queue=queue,
        priority=priority,
        engine=engine,
        duration=duration,
        bitrate=bitrate,
        source=input_path,
        seed=seed,
    )
    options = LaunchOptions(
        plan=plan,
        name=read_name(name),
        batch_size=read_count("--batch-size", batch_size, 1, MAX_BATCH),
        delay=read_count("--delay", delay, 0, MAX_DELAY_MS) / 1000,
        output=output,
        wait=wait,
    )
    url = master_url(master)
    display = make_display(verbose=verbose)
    if dry_run:
        _show_plan(options, url, display)
        return
    outcome = _run(options, url, display)
    _show(outcome, url, display)


def _show_plan(options: LaunchOptions, url: str, display: Display) -> None:
    """Words to stderr; the first payloads to stdout, as JSON."""
    from reelmill.launcher.plan import total_plan
    from reelmill.launcher.summary import describe_options, describe_totals

    for line in [*describe_options(options, url, None), "", *describe_totals(total_plan(options.plan)), ""]:
        display.say(line)
    display.say(f"dry run: nothing was submitted; the first {min(_SHOWN_PAYLOADS, options.plan.count)} of the jobs:")
    sys.stdout.write(_first_payloads(options.plan))


def _first_payloads(plan: LaunchPlan) -> str:
    from itertools import islice

    import msgspec

    from reelmill.launcher.plan import plan_jobs

    first = list(islice(plan_jobs(plan), _SHOWN_PAYLOADS))
    return msgspec.json.format(msgspec.json.encode(first), indent=2).decode() + "\n"


def _run(options: LaunchOptions, url: str, display: Display) -> LaunchOutcome:
    from reelmill.launcher.client import MasterClient
    from reelmill.launcher.run import run_launch

    async def main() -> LaunchOutcome:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                task.cancel()
            else:
                stop.set()
                display.say("stopping after the request in flight; Ctrl-C again stops at once", "warning")

        async with MasterClient(url, on_retry=lambda reason: _say_retry(display, reason, options)) as client:
            task = asyncio.create_task(run_launch(options, client, display, stop))
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, on_signal)
            return await task

    return asyncio.run(main())


def _say_retry(display: Display, reason: str, options: LaunchOptions) -> None:
    display.say(f"{reason} (trying again for up to {options.patience:g} s)", "warning")


def _show(outcome: LaunchOutcome, url: str, display: Display) -> NoReturn:
    from reelmill.errors import ReelmillError
    from reelmill.launcher.summary import describe_end, describe_submission

    options, submission = outcome.options, outcome.submission
    lines = describe_submission(options, submission)
    if outcome.end is not None:
        lines += ["", *describe_end(outcome.end)]
    sys.stdout.write("\n".join(lines) + "\n")
    if outcome.interrupted:
        display.say(f"interrupted: {submission.submitted:,} of {options.plan.count:,} jobs were submitted")
        if submission.submitted:
            display.say(f"they go on; cancel them with: reelmill jobs cancel --launch {options.launch_id}")
    elif outcome.failure is not None:
        raise ReelmillError(
            f"gave up after {submission.submitted:,} of {options.plan.count:,} jobs: {outcome.failure}"
        ) from outcome.failure
    raise typer.Exit(outcome.exit_code)
