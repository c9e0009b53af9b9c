"""Watching a launch to its end: live counts, tolerant of a master that is away for a while."""

from __future__ import annotations

import asyncio

import msgspec

from reelmill.errors import Unavailable
from reelmill.launcher.answers import JobState, JobStates, LaunchState, LaunchTimings
from reelmill.launcher.client import MasterClient, path_of, pause
from reelmill.launcher.hindrance import Lookout
from reelmill.launcher.progress import Display
from reelmill.launcher.work_left import WorkLeft

POLL_SECONDS = 0.5
OUTAGE_SECONDS = 120.0
"""How long the master may be away before watching gives up."""

_SHOWN_FAILURES = 5
_PATIENCE = 30.0
_ORDER = ("running", "assigned", "queued", "retrying", "paused", "failed", "timed_out", "canceled")
_BRIEF = "id,sequence_number,scenario,status,error,result"


class LaunchEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a launch ended: its timings, the first few failed jobs, and the job itself when it has just one."""

    timings: LaunchTimings
    failures: list[JobState]
    only_job: JobState | None

    @property
    def completed(self) -> int:
        return self.timings.launch.counts.get("completed", 0)

    @property
    def all_completed(self) -> bool:
        return self.completed == self.timings.launch.total


async def watch_launch(
    client: MasterClient,
    launch_id: str,
    display: Display,
    stop: asyncio.Event,
    *,
    every: float = POLL_SECONDS,
    outage: float = OUTAGE_SECONDS,
) -> LaunchEnd | None:
    """Poll until every job of the launch has ended; None when ``stop`` came first.

    It says how fast the work gets done and between when and when it will be, and why jobs wait.
    """
    lookout, work = Lookout(client, display), WorkLeft(client)
    loop = asyncio.get_running_loop()
    state = await _ask(client, launch_id, display, stop, every, outage)
    if state is None:
        return None
    with display.bar("transcoding", state.total) as bar:
        while state.open:
            reason = await lookout.look(state)
            await work.look(state, loop.time())
            detail = describe_counts(state.counts)
            bar.show(state.total - state.open, f"{detail} ({reason})" if reason else detail, work.describe())
            await pause(every, stop)
            state = await _ask(client, launch_id, display, stop, every, outage)
            if state is None:
                return None
        bar.show(state.total, describe_counts(state.counts), "")
    return await read_end(client, launch_id)


async def read_end(client: MasterClient, launch_id: str) -> LaunchEnd:
    """The report of a launch that has ended."""
    timings = await client.get(path_of("launches", launch_id, "timings"), LaunchTimings, patience=_PATIENCE)
    mine = {"launch": launch_id, "fields": _BRIEF}
    failures: list[JobState] = []
    if timings.launch.counts.get("failed") or timings.launch.counts.get("timed_out"):
        bad = {**mine, "status": "failed,timed_out", "limit": _SHOWN_FAILURES}
        failures = (await client.get("/jobs", JobStates, bad, patience=_PATIENCE)).jobs
    only_job = None
    if timings.launch.total == 1:
        [only_job] = (await client.get("/jobs", JobStates, {**mine, "limit": 1}, patience=_PATIENCE)).jobs
    return LaunchEnd(timings=timings, failures=failures, only_job=only_job)


async def _ask(
    client: MasterClient, launch_id: str, display: Display, stop: asyncio.Event, every: float, outage: float
) -> LaunchState | None:
    """The state of the launch, as soon as the master gives it; None when ``stop`` came first."""
    loop = asyncio.get_running_loop()
    since: float | None = None
    while not stop.is_set():
        try:
            state = await client.get(path_of("launches", launch_id), LaunchState)
        except Unavailable as error:
            if since is None:
                since = loop.time()
                display.say(f"{error} (still trying; the jobs are safe)", "warning")
            elif loop.time() - since > outage:
                raise
            await pause(every, stop)
            continue
        if since is not None:
            display.say(f"the master answers again after {loop.time() - since:.0f} s")
        return state
    return None


def describe_counts(counts: dict[str, int]) -> str:
    """``"4 running, 12 queued, 1 failed"``: what is not completed."""
    return ", ".join(f"{counts[status]:,} {status}" for status in _ORDER if counts.get(status))
