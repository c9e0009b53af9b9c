"""`reelmill launch --dry-run`: what a launch would be, judged by the farm when one answers; nothing is submitted."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from reelmill.launcher.answers import ValidatedAnswer
    from reelmill.launcher.client import MasterClient
    from reelmill.launcher.estimate import Estimate
    from reelmill.launcher.options import LaunchOptions
    from reelmill.launcher.plan import LaunchPlan
    from reelmill.launcher.progress import Display
    from reelmill.launcher.totals import PlanTotals

EXIT_SOME_FAILED = 3
_SHOWN_PAYLOADS = 3
_JUDGED = 1000
"""So many jobs of a plan are shown to the master: what it refuses, it mostly refuses of each."""


def show_plan(options: LaunchOptions, url: str, display: Display) -> None:
    """Words to stderr; the first payloads to stdout, as JSON. Exit 3 when the master would refuse some of the jobs."""
    import asyncio

    from reelmill.launcher.estimate import describe_estimate
    from reelmill.launcher.plan import total_plan
    from reelmill.launcher.results import check_output
    from reelmill.launcher.summary import describe_options, describe_totals

    if options.output is not None:
        check_output(options.output)
    totals = total_plan(options.plan)
    for line in [*describe_options(options, url, None), "", *describe_totals(totals), ""]:
        display.say(line)
    judged, expected = asyncio.run(_ask(options, url, totals, display))
    for line in [*describe_estimate(expected), ""]:
        display.say(line)
    refused = _say_verdict(judged, expected, options, display)
    display.say(f"dry run: nothing was submitted; the first {min(_SHOWN_PAYLOADS, options.plan.count)} of the jobs:")
    sys.stdout.write(_first_payloads(options.plan))
    if refused:
        raise typer.Exit(EXIT_SOME_FAILED)


async def _ask(
    options: LaunchOptions, url: str, totals: PlanTotals, display: Display
) -> tuple[ValidatedAnswer | None, Estimate]:
    from reelmill.launcher.client import MasterClient
    from reelmill.launcher.estimate import estimate
    from reelmill.launcher.hindrance import find_hindrance

    async with MasterClient(url) as client:
        hindrance = await find_hindrance(client, options.plan)
        if hindrance is not None:
            display.say(f"{hindrance.share(options.plan.count)} will wait: {hindrance.reason}", "warning")
        expected = await estimate(client, totals)
        return (None if expected.offline is not None else await _judge(client, options)), expected


async def _judge(client: MasterClient, options: LaunchOptions) -> ValidatedAnswer | None:
    from reelmill.errors import ReelmillError
    from reelmill.launcher.answers import ValidatedAnswer
    from reelmill.launcher.plan import plan_jobs

    body = {"jobs": list(islice(plan_jobs(options.plan), _JUDGED)), "launch": {"id": options.launch_id}}
    try:
        return await client.post("/jobs/validate", ValidatedAnswer, body)
    except ReelmillError:  # an older master; the estimate said what there was to say
        return None


def _say_verdict(judged: ValidatedAnswer | None, expected: Estimate, options: LaunchOptions, display: Display) -> bool:
    """Whether some of the jobs would be refused."""
    if judged is None:
        why = f" ({expected.offline})" if expected.offline else ""
        display.say(f"the jobs were checked here only, not by a master{why}", "warning")
        return False
    for warning in judged.warnings:
        display.say(warning.detail, "warning")
    shown = min(options.plan.count, _JUDGED)
    counted = "job" if shown == 1 else f"{shown:,} jobs"
    jobs = counted if shown == options.plan.count else f"first {counted}"
    if not judged.rejected:
        display.say(f"the master would take the {jobs}")
        return False
    first = next(item.problem.detail for item in judged.results if item.problem is not None)
    display.say(f"the master would refuse {judged.rejected:,} of the {jobs}: {first}", "warning")
    return True


def _first_payloads(plan: LaunchPlan) -> str:
    import msgspec

    from reelmill.domain.stream_url import hide_keys, is_stream_url
    from reelmill.launcher.plan import plan_jobs

    first = list(islice(plan_jobs(plan), _SHOWN_PAYLOADS))
    streams = [source for job in first if (source := job.parameters.input) is not None and is_stream_url(source)]
    return hide_keys(msgspec.json.format(msgspec.json.encode(first), indent=2).decode(), streams) + "\n"
