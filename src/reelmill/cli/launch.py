"""`reelmill launch`: submit many jobs at once, and watch them when asked to."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reelmill.cli import launch_options as given
from reelmill.cli.launch_plan import show_plan
from reelmill.cli.launch_run import end_launch, run_until_stopped, say_how_to_go_on, show_outcome
from reelmill.cli.master_client import MasterOption, master_url
from reelmill.errors import ReelmillError, UsageError

if TYPE_CHECKING:
    from reelmill.launcher.options import LaunchOptions
    from reelmill.launcher.plan import LaunchPlan
    from reelmill.launcher.progress import Display
    from reelmill.launcher.run import LaunchOutcome


def launch(
    context: typer.Context,
    count: given.Count = None,
    master: MasterOption = None,
    scenario: given.ScenarioName = None,
    batch_size: given.BatchSize = None,
    delay: given.Delay = None,
    concurrency: given.Concurrency = "4",
    rate: given.Rate = None,
    ramp: given.Ramp = None,
    poisson: given.Poisson = False,
    sample: given.Sample = None,
    priority: given.PriorityName = None,
    queue: given.QueueName = None,
    engine: given.EngineName = None,
    output: given.Output = Path("job_launch_results.json"),
    dry_run: given.DryRun = False,
    verbose: given.Verbose = False,
    duration: given.Duration = None,
    bitrate: given.Bitrate = None,
    chunk: given.Chunk = None,
    encoder: given.Encoder = None,
    input_path: given.Input = None,
    wait: given.Wait = False,
    seed: given.Seed = None,
    name: given.Name = None,
    tenant: given.TenantName = None,
    node_label: given.NodeLabels = None,
    quality: given.Quality = None,
    quality_sample: given.QualitySample = None,
    quality_min: given.QualityMin = None,
    verify: given.Verify = None,
    manifest: given.Manifest = None,
    to: given.OutputName = None,
    skip_existing: given.SkipExisting = False,
    mix: given.Mix = None,
    workload: given.WorkloadFile = None,
    threshold: given.Thresholds = None,
    report: given.ReportFile = None,
    resume: given.Resume = False,
    retry_failed: given.RetryFailed = False,
) -> None:
    """Launch many transcodes: submit them safely, in batches, and keep what became of each.

    Everything is checked before anything is sent. Ctrl-C finishes the batch in flight; a second one stops at once.
    """
    from reelmill.launcher.progress import make_display

    typed, display = dict(locals()), make_display(verbose=verbose)
    options, url = _read_resumed(typed, context) if resume or retry_failed else _read_new(typed)
    if dry_run:
        show_plan(options, url, display)
        return
    if not options.plan.count:
        _say_nothing_to_do(options.plan, display)
        return
    outcome = _run(options, url, display)
    show_outcome(outcome, display)
    say_how_to_go_on(outcome, display)
    end_launch(outcome)


def _run(options: LaunchOptions, url: str, display: Display) -> LaunchOutcome:
    try:
        return run_until_stopped(options, url, display)
    except ReelmillError:
        if options.plan.manifest is not None and not options.resume:  # nothing was sent
            Path(options.plan.manifest.spool.path).unlink(missing_ok=True)
        raise


_PLAN_OPTIONS = (
    "count", "scenario", "queue", "priority", "engine", "duration", "bitrate", "input_path", "seed", "tenant",
    "node_label", "name", "mix", "workload", "manifest", "to", "skip_existing",
    "quality", "quality_sample", "quality_min", "verify", "chunk", "encoder",
)  # fmt: skip


def _read_new(typed: dict[str, Any]) -> tuple[LaunchOptions, str]:
    """The options of a new launch, and its master."""
    from reelmill.launcher.options import LaunchOptions, new_launch_id, read_name

    url, launch_id = master_url(typed["master"]), new_launch_id()
    try:
        plan = _read_plan(typed, url, launch_id)
    except UsageError as error:
        if "scenario" not in str(error) or not _learn_scenarios(url):
            raise
        plan = _read_plan(typed, url, launch_id)
    options = LaunchOptions(plan=plan, launch_id=launch_id, name=read_name(typed["name"]), output=typed["output"])
    return _read_delivery(options, typed), url


def _learn_scenarios(url: str) -> bool:
    """Whether the farm knows scenarios of its own that are news here."""
    import asyncio

    from reelmill.launcher.farm_scenarios import learn_scenarios

    try:
        return asyncio.run(learn_scenarios(url))
    except ReelmillError:  # what was wrong before is what is said
        return False


def _read_plan(typed: dict[str, Any], url: str, launch_id: str) -> LaunchPlan:
    from reelmill.launcher.checks import CHECKS
    from reelmill.launcher.options import read_plan

    has_inputs = typed["input_path"] is not None or typed["manifest"] is not None
    return read_plan(
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
        checks={name: typed[name] for name in CHECKS},
        chunk=typed["chunk"],
        encoder=typed["encoder"],
        mixes=typed["mix"] or (),
        workload=typed["workload"],
        manifest=typed["manifest"],
        output_name=typed["to"],
        skip_existing=typed["skip_existing"],
        is_done=_see_outputs(url) if typed["skip_existing"] and has_inputs else None,
        spool=_choose_spool(typed, launch_id),
    )


def _say_nothing_to_do(plan: LaunchPlan, display: Display) -> None:
    assert plan.manifest is not None, "only a list can be empty"
    Path(plan.manifest.spool.path).unlink(missing_ok=True)
    display.say(f"nothing to do: the outputs of all {plan.manifest.skipped:,} inputs are there already")


def _choose_spool(typed: dict[str, Any], launch_id: str) -> Path | None:
    """Where listed jobs are kept: beside the results as long as these may be resumed, else for this run only."""
    import os
    import tempfile

    from reelmill.launcher.ledger import spool_path
    from reelmill.launcher.options import needs_spool
    from reelmill.launcher.results import check_output

    if not needs_spool(
        manifest=typed["manifest"],
        source=typed["input_path"],
        output_name=typed["to"],
        skip_existing=typed["skip_existing"],
    ):
        return None
    output: Path = typed["output"]
    if check_output(output) and not typed["dry_run"]:
        return spool_path(output.absolute(), launch_id)
    descriptor, name = tempfile.mkstemp(prefix="reelmill-", suffix=".jobs")
    os.close(descriptor)
    atexit.register(lambda: Path(name).unlink(missing_ok=True))
    return Path(name)


def _see_outputs(url: str) -> Callable[[str], bool] | None:
    """Tells whether an output is there; None when the farm's media root is not on this machine."""
    import asyncio

    from reelmill.launcher.client import MasterClient

    async def ask() -> str:
        async with MasterClient(url) as client:
            return (await client.health()).media_root

    root = Path(asyncio.run(ask()))
    return (lambda output: (root / output).exists()) if root.is_dir() else None


def _read_resumed(typed: dict[str, Any], context: typer.Context) -> tuple[LaunchOptions, str]:
    """The options of the launch whose ledger is beside the output: what it asks for is fixed, how it is sent is not."""
    from reelmill.errors import InvalidField
    from reelmill.launcher.ledger import Ledger, ledger_path
    from reelmill.launcher.options import LaunchOptions

    for name in _PLAN_OPTIONS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--from" if name == "manifest" else "--" + name.removesuffix("_path").replace("_", "-")
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

    from reelmill.cli.launches import report_format
    from reelmill.errors import InvalidField
    from reelmill.launcher.arrival import read_arrival
    from reelmill.launcher.options import MAX_AT_ONCE, MAX_BATCH, MAX_DELAY_MS, read_count, read_delay, read_sample
    from reelmill.launcher.threshold import parse_thresholds
    from reelmill.launcher.whole_file import WholeFile

    thresholds, report = tuple(parse_thresholds(typed["threshold"] or ())), typed["report"]
    if report is not None:
        report_format(report, option="--report")
        with WholeFile(report, "--report"):
            pass  # it can be written
    arrival = read_arrival(typed["rate"], typed["ramp"], typed["poisson"], options.plan.arrival)
    if arrival is not None and typed["delay"] is not None:
        raise InvalidField("--delay", "cannot be given with --rate or --ramp, which say when each job is sent")
    delay = 0.1 if typed["delay"] is None else read_delay("--delay", typed["delay"], MAX_DELAY_MS / 1000)
    size = typed["batch_size"]
    if size is not None:
        most = read_count("--batch-size", size, 1, MAX_BATCH)
        options = replace(options, batch_size=most, most_batch=most)
    return replace(
        options,
        delay=delay,
        arrival=arrival,
        concurrency=read_count("--concurrency", typed["concurrency"], 1, MAX_AT_ONCE),
        sample=read_sample(typed["sample"], options.plan.count),
        retry_failed=typed["retry_failed"],
        wait=typed["wait"] or bool(thresholds) or report is not None,
        thresholds=thresholds,
        report=report,
        command=tuple(sys.argv),
        delivery=tuple(_delivery_words(typed)),
    )


def _delivery_words(typed: dict[str, Any]) -> Iterator[str]:
    """What was typed about how to send, for the command that goes on with the launch."""
    for name in ("master", "batch_size", "delay", "rate", "ramp", "sample", "report"):
        if typed[name] is not None:
            yield from ("--" + name.replace("_", "-"), str(typed[name]))
    for rule in typed["threshold"] or ():
        yield from ("--threshold", rule)
    for name in ("poisson", "wait"):
        if typed[name]:
            yield f"--{name}"
