"""`python -m tests.chaos.launches [--bad-lines N] [--stops N]`: launches through bad lines, and stopped launchers.

Each must leave exactly the jobs that were asked for, and results that say so; exits with 1 when one does not. The jobs
ask for a label that no node has, so that nothing is encoded meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.bad_line import BadLine
from tests.e2e.conftest import REELMILL, Commands

JOBS = 5_000
_LIMIT_SECONDS = 300


class Trial(NamedTuple):
    """What one launch went through, and what was wrong behind it."""

    what: str
    violations: list[str]


class LaunchCampaign:
    """Launches against one farm, which is killed and started again where that is part of the trial."""

    def __init__(self, commands: Commands, seed: int) -> None:
        self._commands = commands
        self._rng = random.Random(seed)
        self._farm = commands.up()
        self._port = int(self._farm.url.rpartition(":")[2])
        self._jobs = 0
        self._number = 0

    async def bad_line(self, jobs: int = JOBS) -> Trial:
        """30 % of the requests are broken, and the master is killed in mid-launch and started again."""
        self._number += 1
        async with BadLine(self._farm.url, 0.3, self._rng.randrange(1 << 30)) as line:
            launcher = await self._run(line.url, *self._options(jobs), "--delay", "0", "--batch-size", "100")
            kill_at = self._rng.randint(1, jobs // 100)
            while len(line.batches_at) < kill_at and launcher.returncode is None:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(self._kill_farm)
            said = await self._end(launcher)
        found = self._check(jobs)
        if launcher.returncode != 0:
            found.append(f"exit {launcher.returncode}: {said}")
        return Trial(f"killed at batch {kill_at}, {line.broken} requests broken", found)

    async def stop(self, number: signal.Signals, jobs: int = JOBS) -> Trial:
        """The launcher, which takes two seconds or more, is stopped at some moment, and the launch is gone on with."""
        self._number += 1
        moment = self._rng.uniform(0, 2)
        slowly = ["--batch-size", "50", "--delay", "15"]
        launcher = await self._run(self._farm.url, *self._options(jobs), *slowly)
        await asyncio.sleep(moment)
        if launcher.returncode is None:
            launcher.send_signal(number)
        await self._end(launcher)
        was_ended = launcher.returncode not in (0, None)
        found = [*self._check_json()] if number == signal.SIGINT else []
        ledger = self._folder / f"{self._output}.ledger"
        how = ["--resume", "--output", self._output] if ledger.exists() else [*self._options(jobs)]
        again = await self._run(self._farm.url, *how)
        said = await self._end(again)
        if again.returncode != 0:
            found.append(f"going on ended with {again.returncode}: {said}")
        found += self._check(jobs)
        state = "was ended" if was_ended else "had ended"
        return Trial(f"{number.name} after {moment:.2f} s, the launcher {state}", found)

    @property
    def _folder(self) -> Path:
        return self._commands.folder

    @property
    def _output(self) -> str:
        return f"results-{self._number}.json"

    def _options(self, jobs: int) -> list[str]:
        seed = str(self._number)
        return ["--count", str(jobs), "--node-label", "site=nowhere", "--seed", seed, "--output", self._output]

    async def _run(self, url: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *REELMILL,
            "launch",
            "--master",
            url,
            *arguments,
            cwd=self._folder,
            env=self._commands.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _end(self, launcher: asyncio.subprocess.Process) -> str:
        async with asyncio.timeout(_LIMIT_SECONDS):
            _, said = await launcher.communicate()
        return said.decode()[-500:]

    def _kill_farm(self) -> None:
        self._farm.kill()
        self._farm = self._commands.up(port=self._port)

    def _check_json(self) -> list[str]:
        """What a launcher that was asked to stop leaves can be read."""
        path = self._folder / self._output
        try:
            if path.exists():
                json.loads(path.read_text())
        except ValueError as error:
            return [f"the results are not JSON: {error}"]
        return []

    def _check(self, jobs: int) -> list[str]:
        """Exactly these jobs are in the store, and the results say of each what the store does."""
        found: list[str] = []
        entries = json.loads((self._folder / self._output).read_text())
        launches = Counter(entry["launch_id"] for entry in entries)
        if len(entries) != jobs or len(launches) != 1:
            return [f"{len(entries)} entries of {len(launches)} launches instead of {jobs} of one"]
        stored = {job["id"]: job for job in self._farm.get(f"/jobs?launch={next(iter(launches))}")["jobs"]}
        self._jobs += jobs
        total = sum(self._farm.get("/jobs/summary")["by_status"].values())
        if len(stored) != jobs or total != self._jobs:
            found.append(f"{len(stored)} jobs of the launch, {total} in all, instead of {jobs} and {self._jobs}")
        if [entry["index"] for entry in entries] != list(range(jobs)):
            found.append("the results are not in the order of the jobs")
        wrong = [entry["index"] for entry in entries if not _is_told_right(entry, stored.get(entry.get("id", "")))]
        if wrong:
            found.append(f"{len(wrong)} entries are not what the store says, such as {wrong[:3]}")
        return found


def _is_told_right(entry: dict[str, Any], job: dict[str, Any] | None) -> bool:
    if job is None:
        return False
    asked = all(job["parameters"][name] == value for name, value in entry["parameters"].items())
    names = ("sequence_number", "scenario", "queue", "priority", "engine", "idempotency_key")
    return asked and all(job[name] == entry[name] for name in names if name in job)


async def campaign(commands: Commands, seed: int, bad_lines: int, stops: int) -> list[Trial]:
    """So many trials of each sort, told as they come."""
    launches = LaunchCampaign(commands, seed)
    trials: list[Trial] = []
    for _ in range(bad_lines):
        trials.append(await launches.bad_line())
        _tell(trials[-1])
    for at in range(stops):
        how = signal.SIGKILL if at % 2 else signal.SIGINT
        trials.append(await launches.stop(how))
        _tell(trials[-1])
    return trials


def _tell(trial: Trial) -> None:
    print(f"{trial.what}: {'; '.join(trial.violations) or 'all right'}", file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.launches", description=__doc__)
    parser.add_argument("--bad-lines", type=int, default=100)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reelmill-launches-") as folder:
        commands = Commands(Path(folder))
        try:
            trials = asyncio.run(campaign(commands, options.seed, options.bad_lines, options.stops))
        finally:
            commands.end_all()
    bad = sum(bool(trial.violations) for trial in trials)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(trials)} launches of {JOBS:,} jobs, {bad} of them wrong, {seconds:.0f} s\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
