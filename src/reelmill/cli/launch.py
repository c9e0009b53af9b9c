"""`reelmill launch`: submit many jobs at once, and watch them when asked to."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
BatchSize = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Jobs per request, at most 10000.",
        show_default="50 at first, up to 1000 while the master answers quickly",
    ),
]
Concurrency = Annotated[str, typer.Option(metavar="N", help="Most requests at a time.")]
Rate = Annotated[str | None, typer.Option(metavar="RATE", help="Send at this rate, such as 200/s or 30/min.")]
Ramp = Annotated[
    str | None, typer.Option(metavar="RAMP", help="Send at a rate that changes, such as '0..500/s over 2m'.")
]
Poisson = Annotated[bool, typer.Option("--poisson", help="With --rate or --ramp: at random, as independent users do.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the launch whose results are in --output.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Send again what was refused, and try again what failed, of that launch.")
]
Sample = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Run so many first, such as 1% or 20, and stop when one does not complete."),
]
Delay = Annotated[
    str | None,
    typer.Option(metavar="MS", help="Milliseconds between batches.", show_default="100; none with --rate or --ramp"),
]
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
    context: typer.Context,
    count: Count = None,
    master: MasterOption = None,
    scenario: ScenarioName = None,
    batch_size: BatchSize = None,
    delay: Delay = None,
    concurrency: Concurrency = "4",
    rate: Rate = None,
    ramp: Ramp = None,
    poisson: Poisson = False,
    sample: Sample = None,
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
    resume: Resume = False,
    retry_failed: RetryFailed = False,
) -> None:
    """Launch many transcodes: submit them safely, in batches, and keep what became of each.

    Everything is checked before anything is sent. Ctrl-C finishes the batch in flight; a second one stops at once.
    """
    from reelmill.launcher.progress import make_display

    typed = dict(locals())
    display = make_display(verbose=verbose)
    options, url = _read_resumed(typed, context) if resume or retry_failed else _read_new(typed)
    if dry_run:
        _show_plan(options, url, display)
        return
    outcome = run_until_stopped(options, url, display)
    show_outcome(outcome, display)
    _say_how_to_go_on(outcome, display)
    end_launch(outcome)


_PLAN_OPTIONS = (
    "count", "scenario", "queue", "priority", "engine", "duration", "bitrate", "input_path", "seed", "tenant",
    "node_label", "name",
)  # fmt: skip


def _read_new(typed: dict[str, Any]) -> tuple[LaunchOptions, str]:
    """The options of a new launch, and its master."""
    from reelmill.launcher.options import LaunchOptions, read_name, read_plan

    plan = read_plan(
        count=typed["count"],
        scenario=typed["scenario"],
        queue=typed["queue"],
        priority=typed["priority"],
        engine=typed["engine"],
        duration=typed["duration"],
        bitrate=typed["bitrate"],
        source=typed["input_path"],
        seed=typed["seed"],
        tenant=typed["tenant"],
        node_labels=typed["node_label"] or (),
    )
    options = LaunchOptions(plan=plan, name=read_name(typed["name"]), output=typed["output"])
    return _read_delivery(options, typed), master_url(typed["master"])


def _read_resumed(typed: dict[str, Any], context: typer.Context) -> tuple[LaunchOptions, str]:
    """The options of the launch whose ledger is beside the output: what it asks for is fixed, how it is sent is not."""
    from reelmill.errors import InvalidField
    from reelmill.launcher.ledger import Ledger, ledger_path
    from reelmill.launcher.options import LaunchOptions

    for name in _PLAN_OPTIONS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.removesuffix("_path").replace("_", "-")
            raise InvalidField(option, "a launch goes on as it began; leave this out, or begin a new one")
    ledger = Ledger.open(ledger_path(typed["output"]))
    ledger.close()
    header = ledger.header
    options = LaunchOptions(
        plan=header.plan, launch_id=header.launch_id, name=header.name, output=typed["output"], resume=True
    )
    return _read_delivery(options, typed), master_url(typed["master"] or header.master)


def _read_delivery(options: LaunchOptions, typed: dict[str, Any]) -> LaunchOptions:
    """With how it is to be sent."""
    from msgspec.structs import replace

    from reelmill.errors import InvalidField
    from reelmill.launcher.arrival import read_arrival
    from reelmill.launcher.options import MAX_AT_ONCE, MAX_BATCH, MAX_DELAY_MS, read_count, read_sample

    arrival = read_arrival(typed["rate"], typed["ramp"], typed["poisson"])
    if arrival is not None and typed["delay"] is not None:
        raise InvalidField("--delay", "cannot be given with --rate or --ramp, which say when each job is sent")
    delay = 100 if typed["delay"] is None else read_count("--delay", typed["delay"], 0, MAX_DELAY_MS)
    size = typed["batch_size"]
    if size is not None:
        most = read_count("--batch-size", size, 1, MAX_BATCH)
        options = replace(options, batch_size=most, most_batch=most)
    return replace(
        options,
        delay=delay / 1000,
        arrival=arrival,
        concurrency=read_count("--concurrency", typed["concurrency"], 1, MAX_AT_ONCE),
        sample=read_sample(typed["sample"], options.plan.count),
        retry_failed=typed["retry_failed"],
        wait=typed["wait"],
        command=tuple(sys.argv),
    )


def _say_how_to_go_on(outcome: LaunchOutcome, display: Display) -> None:
    options, submission = outcome.options, outcome.submission
    is_stopped = outcome.interrupted or outcome.failure is not None or outcome.bad_sample is not None
    if is_stopped and submission.accepted:
        launch = f"reelmill jobs cancel --launch {options.launch_id}"
        display.say(f"the {submission.accepted:,} jobs that were accepted go on; cancel them with: {launch}")
    left = options.plan.count - submission.accepted - submission.rejected
    if left and is_stopped and outcome.ledger is not None:
        output = shlex.join(["--output", str(options.output)])
        display.say(f"{left:,} jobs are still to be sent; go on with: reelmill launch --resume {output}")


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
    if outcome.bad_sample is not None:
        display.say("the sample did not complete, so the other jobs were not sent", "warning")
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
