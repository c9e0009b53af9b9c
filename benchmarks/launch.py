"""How many jobs a second `reelmill launch` has durably accepted, against one request a job, one after the other.

That is how the predecessor's launcher sent them (with a curl each; its 40 jobs/s are in the project's notes, and here
the client is one process that keeps its connection). Master, SQLite and client share this machine, ways alternate in
one run, and the jobs ask for a label that no node has, so that nothing is encoded. The rate is that of the summary,
and of the whole process from start to exit. With ``--million``, the launcher's peak memory for a million jobs.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx2

REELMILL = Path(sys.executable).parent / "reelmill"
WAYS = {
    "default options": [],
    "--delay 0 --batch-size 1000": ["--delay", "0", "--batch-size", "1000"],
}


class Launched(NamedTuple):
    """Jobs a second while sending, seconds of the whole process, and its peak memory in MB."""

    rate: float
    seconds: float
    megabytes: float


def launch(url: str, folder: Path, count: int, options: list[str]) -> Launched:
    began = time.monotonic()
    argv = [str(REELMILL), "launch", "--master", url, "--count", str(count), "--node-label", "site=nowhere", *options]
    child = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, said
    found = re.search(r"rate +([\d,]+) jobs/s", said)
    assert found is not None, said
    return Launched(float(found[1].replace(",", "")), time.monotonic() - began, usage.ru_maxrss / 1024)


def one_by_one(url: str, count: int) -> float:
    """Jobs a second of a loop that waits for each answer."""
    job = {"scenario": "480p30-h264", "node_labels": {"site": "nowhere"}}
    with httpx2.Client(base_url=url, timeout=30) as client:
        began = time.monotonic()
        for _ in range(count):
            client.post("/jobs", json=job).raise_for_status()
        return count / (time.monotonic() - began)


def show(name: str, values: list[float], unit: str) -> None:
    low, high = min(values), max(values)
    print(f"{name}: median {statistics.median(values):,.1f} {unit} ({low:,.1f} to {high:,.1f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--million", action="store_true")
    options = parser.parse_args()
    print(f"machine: {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="reelmill-launch-") as name:
        folder = Path(name)
        (folder / "media").mkdir()
        argv = [str(REELMILL), "up", "--port", "0", "--data", str(folder / "data"), "--media", str(folder / "media")]
        farm = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert farm.stdout is not None
            url = farm.stdout.readline().split()[-1]
            baseline: list[float] = []
            done: dict[str, list[Launched]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                baseline.append(one_by_one(url, options.count // 20))
                for way, more in WAYS.items():
                    done[way].append(launch(url, folder, options.count, more))
            show("one by one", baseline, "jobs/s")
            for way, found in done.items():
                show(way, [one.rate for one in found], "jobs/s")
                show(f"{way}, whole process", [one.seconds for one in found], "s")
                show(f"{way}, ratio", [one.rate / base for one, base in zip(found, baseline, strict=True)], "times")
            if options.million:
                found = launch(url, folder, 1_000_000, WAYS["--delay 0 --batch-size 1000"])
                print(f"a million jobs: {found.rate:,.0f} jobs/s, {found.seconds:.0f} s, peak {found.megabytes:.0f} MB")
        finally:
            farm.terminate()
            farm.wait(30)


if __name__ == "__main__":
    main()
