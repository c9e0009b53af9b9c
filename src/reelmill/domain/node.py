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


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node with what the store adds. ``status`` is one of `NODE_STATUSES`; times are seconds since the epoch."""

    id: str
    name: str
    status: str
    capabilities: Capabilities
    version: str
    running_jobs: int
    started_at: float
    last_seen: float
