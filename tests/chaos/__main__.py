"""`python -m tests.chaos [--kills N] [--seed S] [--store postgresql]`: seeded kills under load, and what was left.

Exits with 1 when anything was lost, doubled or left running.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import Campaign, Ending
from tests.chaos.figures import percentile
from tests.contract.conftest import new_database
from tests.e2e.conftest import Commands


def report(ending: Ending) -> str:
    """The figures as lines for a person."""
    by_status = ending.aftermath.by_status
    reruns, last = ending.reruns, ending.last_of_family
    return "\n".join(
        [
            f"kills        {dict(ending.kills)}",
            f"accepted     {len(ending.accepted)} jobs, in the store {len(ending.aftermath.jobs)}: {by_status}",
            f"repeated     {ending.repeated} requests whose answer a kill took away, with their idempotency key",
            f"re-run start after a kill: {len(reruns)} encodes, p50 {percentile(reruns, 0.5):.2f} s, "
            f"p99 {percentile(reruns, 0.99):.2f} s",
            f"orphans      the last process of a killed farm was gone after p50 {percentile(last, 0.5):.3f} s, "
            f"at most {max(last, default=0.0):.3f} s",
            f"violations   {len(ending.violations)} (lost, published twice, wrong file, wrong books)",
            *ending.violations,
        ]
    )


def main() -> int:
    """0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reelmill-chaos-") as folder:
        commands = Commands(Path(folder))
        try:
            campaign = Campaign(commands, options.seed, store=new_database() if options.store == "postgresql" else "")
            ending = campaign.run(options.kills, lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
        finally:
            commands.end_all()
    sys.stdout.write(f"seed {options.seed}, {options.store}, {time.monotonic() - began:.0f} s\n{report(ending)}\n")
    return 1 if ending.violations else 0


if __name__ == "__main__":
    sys.exit(main())
