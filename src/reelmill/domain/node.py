"""A node: a machine that runs a worker, as the farm knows it."""

from __future__ import annotations

import msgspec

from reelmill.domain.capability import Capabilities

NODE_STATUSES = ("online", "draining", "stopping", "offline")
"""It takes jobs; a user wants it to take none; its worker ends; it was not heard of lately."""


class NodeInfo(msgspec.Struct, frozen=True):
    """What a worker tells of itself. Its id is new with every process, so a restarted one starts with nothing."""

    id: str
    name: str
    capabilities: Capabilities
    version: str
    started_at: float
    stopping: bool = False
    """Its worker ends: it takes no more jobs, whatever a user says."""
    trouble: str | None = None
    """Why it takes no jobs for now, in words for people; None when it does."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node with what the store adds. ``status`` is one of `NODE_STATUSES`; times are seconds since the epoch.

    One that is online and has a ``trouble`` takes no jobs until that is over.
    """

    id: str
    name: str
    status: str
    capabilities: Capabilities
    version: str
    running_jobs: int
    started_at: float
    last_seen: float
    trouble: str | None = None

    @property
    def obstacle(self) -> str | None:
        """Why it takes no jobs, as the end of a sentence that begins with its name; None when it takes them."""
        if self.status != "online":
            return f"is {self.status}"
        return None if self.trouble is None else f"takes no jobs: {self.trouble}"
