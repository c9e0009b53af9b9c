"""What the farm costs on top of ffmpeg: N jobs through a real farm against the same commands under `xargs -P`.

Both ways encode the same things with the same argv, alternating in one run, and as many at once: as the CPU units of
one job fit into ``--slots``. Wall is from the submission to the last completed job. CPU counts everything: for the
farm its process, its engines, its probes and this client; for xargs all that it ran. Prints each pair, then the median
and the spread of the ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psutil

REELMILL = Path(sys.executable).parent / "reelmill"


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


@contextmanager
def running_farm(folder: Path, slots: int) -> Generator[tuple[httpx2.Client, psutil.Process], None, None]:
    """A farm of its own on a free port, and a client for it."""
    (folder / "media").mkdir(parents=True, exist_ok=True)
    argv = [REELMILL, "up", "--port", "0", "--data", folder / "data", "--media", folder / "media"]
    farm = subprocess.Popen(
        [*argv, "--slots", str(slots)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert farm.stdout is not None
    try:
        url = farm.stdout.readline().split()[-1]
        with httpx2.Client(base_url=url, timeout=30) as client:
            yield client, psutil.Process(farm.pid)
    finally:
        farm.send_signal(signal.SIGTERM)
        farm.wait(30)


def cpu_of(farm: psutil.Process) -> float:
    """CPU seconds of the farm, of what it has reaped, and of what it still runs."""
    own = farm.cpu_times()
    living = sum(sum(child.cpu_times()[:2]) for child in farm.children(recursive=True))
    return own.user + own.system + own.children_user + own.children_system + living


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def through_farm(client: httpx2.Client, farm: psutil.Process, job: dict[str, Any], count: int, launch: str) -> Cost:
    """Submit the jobs and wait for the last one."""
    started, cpu, own = time.monotonic(), cpu_of(farm), time.process_time()
    body = {"jobs": [job] * count, "launch": {"id": launch}}
    client.post("/jobs/batch", json=body).raise_for_status()
    while True:
        state = client.get(f"/launches/{launch}").raise_for_status().json()
        if state["open"] == 0:
            break
        time.sleep(0.25)  # half as long as `reelmill launch --wait` does
    wall = time.monotonic() - started
    if state["counts"] != {"completed": count}:
        raise SystemExit(f"not all jobs completed: {state['counts']}")
    return Cost(wall, cpu_of(farm) - cpu + time.process_time() - own)


def through_xargs(commands: list[str], folder: Path, at_once: int) -> Cost:
    """Run the commands, so many at once."""
    script = folder / "commands"
    script.write_text("".join(f"{command}\n" for command in commands))
    started, cpu = time.monotonic(), cpu_of_children()
    with script.open() as lines:
        subprocess.run(
            ["xargs", "-P", str(at_once), "-L", "1", "env"], stdin=lines, stdout=subprocess.DEVNULL, check=True
        )
    return Cost(time.monotonic() - started, cpu_of_children() - cpu)


def at_once(client: httpx2.Client, scenario: str, slots: int) -> int:
    """How many jobs of the scenario a farm of so many CPU units runs at a time."""
    [found] = [one for one in client.get("/scenarios").json()["scenarios"] if one["name"] == scenario]
    return max(1, slots // found["cost"])


def commands_of(client: httpx2.Client, launch: str, folder: Path) -> list[str]:
    """The very commands that the farm ran, with outputs in ``folder``."""
    folder.mkdir()
    commands: list[str] = []
    for job in client.get(f"/jobs?launch={launch}&fields=id").json()["jobs"]:
        [attempt] = client.get(f"/jobs/{job['id']}/logs").json()["attempts"]
        head, _, _ = attempt["command"].rpartition("file:")
        commands.append(f"{head}file:{folder / job['id']}.mp4")
    return commands


def report(name: str, ratios: list[float]) -> None:
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"{name} ratio farm/xargs: median {statistics.median(ratios):.3f} (spread {spread})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="CPU units of the farm")
    parser.add_argument("--scenario", default="480p30-h264")
    parser.add_argument("--duration", type=float, help="media seconds of each job; 1 of a test picture, all of a file")
    parser.add_argument("--input", type=Path, help="encode this file instead of a test picture")
    options = parser.parse_args()
    parameters: dict[str, Any] = {"bitrate": "1M"}
    if options.input is not None:
        parameters["input"] = options.input.name
    if options.duration is not None or options.input is None:
        parameters["duration"] = options.duration or 1.0
    job = {"scenario": options.scenario, "parameters": parameters}
    print(f"machine: {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    length = f"{parameters['duration']:g} s of " if "duration" in parameters else ""
    what = options.input.name if options.input is not None else "a test picture"
    print(f"{options.jobs} jobs: {length}{what} as {options.scenario}, a farm of {options.slots} units")
    pairs: list[tuple[Cost, Cost]] = []
    with tempfile.TemporaryDirectory(prefix="reelmill-overhead-") as name:
        folder = Path(name)
        if options.input is not None:
            (folder / "media").mkdir()
            shutil.copy(options.input, folder / "media")
        with running_farm(folder, options.slots) as (client, farm):
            through_farm(client, farm, job, options.slots, "warm-up")
            parallel = at_once(client, options.scenario, options.slots)
            for number in range(options.pairs):
                launch = f"pair-{number}"
                farmed = through_farm(client, farm, job, options.jobs, launch)
                bare = through_xargs(commands_of(client, launch, folder / launch), folder, parallel)
                pairs.append((farmed, bare))
                print(
                    f"pair {number}: farm {farmed.wall:.2f} s wall, {farmed.cpu:.2f} s CPU; "
                    f"xargs {bare.wall:.2f} s wall, {bare.cpu:.2f} s CPU",
                    flush=True,
                )
    report("wall", [farmed.wall / bare.wall for farmed, bare in pairs])
    report("CPU ", [farmed.cpu / bare.cpu for farmed, bare in pairs])


if __name__ == "__main__":
    main()
