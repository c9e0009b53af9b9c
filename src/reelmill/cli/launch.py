"""`reelmill launch`: submit many jobs at once, and watch them when asked to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
ScenarioName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A scenario, or random; needed with --input.", show_default="random"),
]
BatchSize = Annotated[str, typer.Option(metavar="N", help="Jobs per request, at most 10000.")]
Delay = Annotated[str, typer.Option(metavar="MS", help="Milliseconds between batches.")]
PriorityName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="high, medium, low or mixed.", show_default="mixed, or medium with --input"),
]
QueueName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="live, default, batch or mixed.", show_default="mixed, or default with --input"),
]
EngineName = Annotated[str | None, typer.Option(metavar="NAME", help="auto, ffmpeg or gstreamer.", show_default="auto")]
Output = Annotated[
    Path, typer.Option(metavar="FILE", help="Where to write the results, as a JSON array; - is standard output.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted; submit nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what becomes of each batch.")]
Duration = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Length of each job: 2, 1.5s, 2m, or a range 30-300.",
        show_default="30-300; all of --input",
    ),
]
Bitrate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Such as 5M, or a range 4M-10M.", show_default="the scenario's usual range"),
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="PATH", help="Transcode this file instead of a test picture.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until every job has ended.")]
Seed = Annotated[
    str | None, typer.Option(metavar="N", help="The same seed gives the same jobs.", show_default="random")
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="A name for this launch.")]
TenantName = Annotated[
    str | None, typer.Option(metavar="NAME", help="On whose behalf the jobs run.", show_default="default")
]
NodeLabels = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Run only on nodes with this label; several times."),
]


def launch(
    count: Count = None,
    master: MasterOption = None,
    scenario: ScenarioName = None,
    batch_size: BatchSize = "50",
    delay: Delay = "100",
    priority: PriorityName = None,
    queue: QueueName = None,
    engine: EngineName = None,
    output: Output = Path("job_launch_results.json"),
    dry_run: DryRun = False,
    verbose: Verbose = False,
    duration: Duration = None,
    bitrate: Bitrate = None,
    input_path: Input = None,
    wait: Wait = False,
    seed: Seed = None,
    name: Name = None,
    tenant: TenantName = None,
    node_label: NodeLabels = None,
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
        tenant=tenant,
        node_labels=node_label or (),
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
    outcome = run_until_stopped(options, url, display)
    show_outcome(outcome, display)
    if outcome.submission.submitted and (outcome.interrupted or outcome.failure is not None):
        display.say(f"the submitted jobs go on; cancel them with: reelmill jobs cancel --launch {options.launch_id}")
    end_launch(outcome)


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


def run_until_stopped(options: LaunchOptions, url: str, display: Display) -> LaunchOutcome:
    """Launch. The first SIGINT, SIGTERM or SIGHUP ends it behind the request in flight, a second one at once."""
    import asyncio
    import signal

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
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup reelmill launch` outlives its terminal
                    loop.add_signal_handler(number, on_signal)
            return await task

    return asyncio.run(main())


def _say_retry(display: Display, reason: str, options: LaunchOptions) -> None:
    display.say(f"{reason} (trying again for up to {options.patience:g} s)", "warning")


def show_outcome(outcome: LaunchOutcome, display: Display) -> None:
    """The summary to stdout, unless the results went there; words to stderr."""
    from reelmill.launcher.plain_text import showable
    from reelmill.launcher.results import STDOUT
    from reelmill.launcher.summary import describe_end, describe_submission

    options, submission = outcome.options, outcome.submission
    lines = describe_submission(options, submission)
    if outcome.end is not None:
        lines += ["", *describe_end(outcome.end)]
    if options.output == STDOUT:
        for line in lines:
            display.say(line)
    else:
        sys.stdout.write(showable("\n".join(lines)) + "\n")
        sys.stdout.flush()
    if outcome.interrupted:
        display.say(f"interrupted: {submission.submitted:,} of {options.plan.count:,} jobs were submitted")


def end_launch(outcome: LaunchOutcome) -> None:
    """Return when the launch went well; leave the command as it deserves when not."""
    from reelmill.errors import ReelmillError

    if outcome.failure is not None and not outcome.interrupted:
        done = f"{outcome.submission.submitted:,} of {outcome.options.plan.count:,} jobs"
        raise ReelmillError(f"gave up after {done}: {outcome.failure}") from outcome.failure
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
