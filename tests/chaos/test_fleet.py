"""A fleet on a network of its own, and what a bad day takes from it: cables, power, one of each kind of machine."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelmill.store.postgres import PostgresStore
from reelmill.worker.inventory import find_ffmpeg
from tests.chaos.aftermath import read_aftermath
from tests.chaos.conftest import Figures
from tests.chaos.site import Site
from tests.e2e.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SYNTHETIC, REAL = 240, 60


def test_three_hundred_jobs_survive_the_loss_of_one_of_each(site: Site, figures: Figures) -> None:
    """P1, P2, P3, P6 over a network: each completes, is published once, and is what the store says; nothing is left."""
    make_clip(site.commands.media / "in")
    site.run("launch", "--count", str(SYNTHETIC), "--scenario", "480p30-h264", "--duration", "1", "--delay", "0",
             "--output", "synthetic.json", "--master", site.urls[0])  # fmt: skip
    site.run("launch", "--input", "media/in/*.mp4", "--to", "outputs/real-{stem}.mp4", "--scenario", "480p30-h264",
             "--delay", "0", "--output", "real.json", "--master", site.urls[0])  # fmt: skip
    accepted = [
        one["id"]
        for name in ("synthetic.json", "real.json")
        for one in json.loads((site.commands.folder / name).read_text())
    ]
    assert SYNTHETIC + REAL == len(set(accepted))

    blows: list[tuple[int, Callable[[], None]]] = [
        (30, lambda: site.network.cut(site.machines["worker-1"])),
        (60, lambda: site.kill("worker-2")),
        (90, lambda: site.kill("master-1")),
        (120, site.servers["nats-1"].kill),
        (180, lambda: site.network.mend(site.machines["worker-1"])),
    ]
    for done, blow in blows:
        wait_for(site.completed, lambda n, least=done: n >= least, 300)
        blow()
    wait_for(site.completed, lambda n: n >= SYNTHETIC + REAL, 600)
    wait_for(site.online, lambda names: {"worker-1", "worker-3"} <= names)
    for name in ("worker-1", "worker-3", "master-2"):
        site.processes[name].send_signal(signal.SIGTERM)
    for name in ("worker-1", "worker-3", "master-2"):
        assert 0 == site.processes[name].wait(60), site.commands.log.read_text()[-4000:]

    after = asyncio.run(read_aftermath(PostgresStore(site.store), site.commands.media))
    assert [] == after.violations(accepted)
    assert {"completed": SYNTHETIC + REAL} == after.by_status
    left = [str(path) for name in ("worker-1", "worker-3") for path in scratch(site.commands.folder / name)]
    assert [] == left
    by_node = {job.node_name for job in after.jobs}
    attempts = max(job.attempt for job in after.jobs)
    network = "namespaces" if site.network.is_real else "processes"
    figures(f"300 jobs over {network}: completed by {sorted(map(str, by_node))}, most attempts of one job {attempts}")


def make_clip(folder: Path) -> None:
    """Sixty short films."""
    folder.mkdir()
    first = folder / "00.mp4"
    made = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-c:v", "libx264", "-preset", "ultrafast", str(first)]
    subprocess.run([find_ffmpeg().path, "-v", "error", *made], check=True)
    for number in range(1, REAL):
        (folder / f"{number:02}.mp4").write_bytes(first.read_bytes() + bytes(number))


def scratch(folder: Path) -> list[Path]:
    """What a worker has left of attempts."""
    return list(folder.rglob("attempts/*"))
