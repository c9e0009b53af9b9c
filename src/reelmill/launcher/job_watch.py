"""Watching one job to its end by the events of the farm."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from reelmill.domain.job import TERMINAL
from reelmill.errors import Unavailable
from reelmill.launcher.client import MasterClient
from reelmill.launcher.event_stream import OUTAGE_SECONDS, Event, follow_events

_PATIENCE = 30.0


class Screen(Protocol):
    """Where what happens is shown."""

    def show(self, kind: str, data: dict[str, Any]) -> None:
        """Show a `transition`, a `progress`, a `log`; or a `job` as it is at the beginning and at the end."""
        ...

    def note(self, line: str) -> None:
        """Say something about the watching, or about why the job waits."""
        ...


async def watch_job(
    client: MasterClient, path: str, screen: Screen, *, logs: bool = False, outage: float = OUTAGE_SECONDS
) -> dict[str, Any]:
    """The job at ``path`` once it has ended; ``logs``: also show what its engine says."""
    job: dict[str, Any] = await client.get(path)
    screen.show("job", job)
    if job["status"] in TERMINAL:
        return job
    told: str | None = None
    wanted = {"job": job["id"], "kind": "transition,progress,log" if logs else "transition,progress"}
    async with contextlib.aclosing(follow_events(client, wanted, screen.note, outage=outage)) as events:
        async for event in events:
            if event.kind in ("transition", "progress", "log"):
                screen.show(event.kind, event.data)
            if _is_news(event):
                try:
                    job = await client.get(path, patience=_PATIENCE)
                except Unavailable:
                    continue  # the stream breaks too, and says so
                if job["status"] in TERMINAL:
                    screen.show("job", job)
                    return job
                if job["blocked"] not in (None, told):
                    told = job["blocked"]
                    screen.note(f"{job['sequence_number']} waits: {told}")
    raise AssertionError("the events of a farm have no end")


def _is_news(event: Event) -> bool:
    """Whether it is time to look at the job: it may have ended, or everything was told that happened until now."""
    return not event.kind or (event.kind == "transition" and event.data["to_status"] in TERMINAL)
